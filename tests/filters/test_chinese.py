"""Rules that were published for English keep good Chinese text, and drop the bad for the reasons that they were made for."""

import json
from pathlib import Path

import pytest

from pipeline.documents import Document
from pipeline.filters.alphanumeric import Alphanumeric
from pipeline.filters.base import Filter
from pipeline.filters.c4 import C4
from pipeline.filters.clean import asked
from pipeline.filters.fineweb import FineWeb
from pipeline.filters.gopher import GopherQuality
from pipeline.filters.language import Language
from pipeline.filters.length import WordCount
from pipeline.filters.repetition import Repetition
from pipeline.filters.stop_words import StopWords
from pipeline.filters.symbols import Symbols
from tests.filters.texts import document

PROSE = (Alphanumeric(), C4(), FineWeb(), GopherQuality(), Language(), Repetition(), StopWords(), Symbols(), WordCount())
GOOD = {
    "news": "统计局3日发布的数据显示，今年前三季度，全国居民人均可支配收入29398元，比上年同期名义增长6.3%，扣除价格因素，实际增长5.9%。\n"
    "分城乡看，城镇居民人均可支配收入39428元，增长5.2%；农村居民人均可支配收入15705元，增长7.6%。\n"
    "专家表示，居民收入增长与经济增长基本同步，消费需求持续恢复，这为全年目标的实现打下了坚实的基础。",
    "dialogue": "“你今天怎么来得这么早？”老王放下手里的报纸，笑着问道。\n"
    "“睡不着，就早点出来走走。”小李叹了一口气，在他对面坐下，“昨天晚上的事情，你听说了吗？”\n"
    "“听说了。”老王点点头，“可是我觉得，这件事情没有你想的那么严重。”\n过了很久，他才低声说：“谢谢你，老王。”",
    "English words": "Python 的 asyncio 库提供了基于协程的并发模型。在 Python 3.11 之后，可以用 TaskGroup 来管理一组任务，"
    "如果其中一个任务抛出异常，其余的任务会被取消。\n下面的例子说明了它的用法：先创建一个 TaskGroup，然后用 create_task 方法添加任务。",
    "traditional": "臺北市立圖書館昨天宣布，從下個月起將延長開放時間。館長表示，這項決定是為了讓上班族也能在下班之後使用圖書館的資源。\n"
    "許多市民對此表示歡迎。一位在附近工作的先生說：「以前我下班的時候，圖書館已經關門了，現在終於可以來借書了。」",
    "classical prose": "环滁皆山也。其西南诸峰，林壑尤美，望之蔚然而深秀者，琅琊也。山行六七里，渐闻水声潺潺，而泻出于两峰之间者，酿泉也。"
    "峰回路转，有亭翼然临于泉上者，醉翁亭也。醉翁之意不在酒，在乎山水之间也。",
    "numbered paragraphs": "1、早睡晚起。冬天的夜晚比较长，应该适当地增加睡眠的时间，等太阳出来以后再起床。\n"
    "2、注意保暖。头部、背部和脚部是最容易受凉的地方，出门的时候要戴好帽子和围巾。\n"
    "3、合理饮食。多吃一些温热的食物，少吃生冷和油腻的东西，并且要多喝水。",
    "law": "第一条　为了保护民事主体的合法权益，调整民事关系，维护社会和经济秩序，弘扬社会主义核心价值观，根据宪法，制定本法。\n"
    "第二条　民法调整平等主体的自然人、法人和非法人组织之间的人身关系和财产关系。\n"
    "第三条　民事主体的人身权利、财产权利以及其他合法权益受法律保护，任何组织或者个人不得侵犯。",
    "a review": "这家店的味道真的很不错！！我和朋友点了酸菜鱼和小炒肉，分量很足，两个人都没有吃完～服务员的态度也很好，上菜很快。"
    "就是周末的人太多了，我们等了将近四十分钟。。。下次会早一点来的，推荐大家试试他们家的豆花，又嫩又滑，价格也不贵！！",
}
MENU = "首页 新闻 体育 娱乐 财经 科技 汽车 房产 教育 健康 旅游 美食 关于我们 联系我们 广告服务 网站地图 友情链接 版权声明".replace(
    " ", "\n"
)
KEYWORDS = (
    "苹果手机 华为手机 手机壳 钢化膜 充电宝 数据线 蓝牙耳机 智能手表 平板电脑 笔记本电脑 "
    "游戏鼠标 机械键盘 显示器 路由器 内存卡 读卡器 摄像头 投影仪 打印机"
)
TEASERS = "震惊！他竟然做出了这样的事情……\n看完这个视频，很多人都沉默了……\n医生说，这种食物千万不要再吃了……"
QUATRAIN = "春晓\n春眠不觉晓，处处闻啼鸟。\n夜来风雨声，花落知多少。"
DROPPED: list[tuple[Filter, str, str]] = [
    (WordCount(), MENU[:60], "too-few"),
    (C4(), MENU, "few-sentences"),
    (FineWeb(), MENU, "few-ended-lines"),
    (StopWords(), KEYWORDS, "few-stop-words"),
    (GopherQuality(), KEYWORDS, "few-stop-words"),
    (C4(), TEASERS, "few-sentences"),
    (Symbols(), TEASERS, "ellipsis-lines"),
    (Repetition(), "加微信领取优惠券，限时免费！\n" * 4, "duplicate-lines"),
    (Alphanumeric(), "A100：200，35.00\nB200：150，42.50\nC300：80，99.00", "few-alphabetic-words"),
    (GopherQuality(), QUATRAIN, "too-few-words"),
    (C4(), QUATRAIN, "few-sentences"),
]
PARALLEL_POINTS = 0.03


@pytest.mark.parametrize("kind", GOOD)
@pytest.mark.parametrize("rule", PROSE, ids=lambda rule: rule.name())
def test_good_chinese_text_of_every_kind_is_kept_and_left_as_it_is(rule: Filter, kind: str) -> None:
    text, _, reason = asked(rule, document(GOOD[kind]))
    assert (reason, text) == (None, GOOD[kind])


@pytest.mark.parametrize(("rule", "text", "reason"), DROPPED, ids=[f"{rule.name()}-{reason}" for rule, _, reason in DROPPED])
def test_bad_chinese_text_is_dropped_for_what_the_rule_was_made_for(rule: Filter, text: str, reason: str) -> None:
    assert rule.verdict(document(text)) == reason


def paragraphs(place: Path) -> list[Document]:
    articles = json.loads(place.read_text("utf-8"))["data"]
    texts = [paragraph["context"] for article in articles for paragraph in article["paragraphs"]]
    return [document(text, place) for place, text in enumerate(texts)]


@pytest.mark.parametrize("rule", PROSE, ids=lambda rule: rule.name())
def test_about_as_much_is_kept_of_a_chinese_text_as_of_its_english_original(rule: Filter, shared_data: Path) -> None:
    english, chinese = (paragraphs(shared_data / "finetune" / "xquad" / f"xquad.{code}.json") for code in ("en", "zh"))
    assert len(english) == len(chinese) > 200
    kept = [sum(asked(rule, each).reason is None for each in texts) / len(texts) for texts in (english, chinese)]
    assert abs(kept[0] - kept[1]) <= PARALLEL_POINTS
