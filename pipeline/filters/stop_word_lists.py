"""The function words of the languages that most text is in: what no sentence can do without, whatever it is about.

Articles, pronouns, prepositions, conjunctions, particles and auxiliaries, put together for this project from
grammars; no word with a meaning of its own. Of Chinese the function characters, which simplified and traditional
writing share unless both are given, with those of the classical language; of Japanese the particles' Kana.
"""

LISTS = {
    "en": "the of and to a in that is was he for it with as his on be at by i this had not are but from or have an they which "
    "one you were all her she there would their we him been has when who will no more if out so up what its about than "
    "into them can only other my our me your do did could these those some such because how where while after before "
    "over through",
    "zh": "的 了 是 在 不 和 有 也 就 这 這 那 我 你 他 她 它 们 們 个 個 之 而 其 于 於 以 与 與 为 為 所 者 又 或 但 被 把 "
    "从 從 到 对 對 都 还 還 很 会 會 能 可 要 上 下 中 着 著 过 過 得 地 吗 嗎 呢 吧 么 麼 什 如 因 由 及 并 並 且 则 "
    "則 乃 兮 矣 焉 哉 乎 若 此 何 无 無 非 莫 未",
    "es": "de la que el en y a los se del las un por con no una su para es al lo como más o pero sus le ha me si sin sobre "
    "este ya entre cuando todo esta ser son dos también fue había era muy años hasta desde está mi porque qué sólo han "
    "yo hay vez puede todos así nos ni parte tiene él uno donde ese esto esa",
    "de": "der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als auch es an werden aus er hat dass "
    "sie nach wird bei einer um am sind noch wie einem über einen so zum war haben nur oder aber vor zur bis mehr durch "
    "man sein wurde sei ich wir ihr du was wenn dann ihre seine kann unter gegen vom dieser diese dieses",
    "fr": "de la le et les des en un du une que est pour qui dans a par plus pas au sur ne se ce il sont avec ont mais son "
    "cette ou aux elle comme leur y deux nous on été sa même ses être où fait sans l d qu n s c j entre aussi tout après "
    "je vous si ils très donc dont",
    "pt": "de a o que e do da em um para é com não uma os no se na por mais as dos como mas foi ao ele das tem à seu sua ou "
    "ser quando muito há nos já está eu também só pelo pela até isso ela entre era depois sem mesmo aos ter seus quem "
    "nas me esse eles estão você tinha foram",
    "it": "di e il la che in a per un del è i le si con da non una sono dei al ha alla della come nel più anche gli lo l ma se "
    "o su delle ad nella ed questo dal essere tra loro era cui suo dalla sua io ci mi due stato degli dell all nell ai "
    "dopo quando chi",
    "ru": "и в не на я что он с как а это по но к у из за то же от так о все она бы его для мы вы до ты мне было они только ее "
    "её или еще ещё был если уже при быть может там их чем ни где когда этого была который которые чтобы без также со во "
    "ли даже",
    "ja": "の は が を に で と も へ や か ら な た て し る す い れ ま ん こ そ あ だ り",
    "nl": "de het een en van in is dat op te zijn met voor niet aan er om ook als dan maar bij of uit nog door over naar ze "
    "hij hebben heeft worden wordt deze dit was die tot werd kan meer we ik je zich geen haar al wat na zo",
    "pl": "w i na z się nie do to że jest o jak za od po przez ale co dla już tylko jego był tym być może są było jej ich tego "
    "oraz który które przy ze a ma czy tak lub jako także pod gdy bardzo mnie nad bez",
    "ar": "في من على إلى أن عن التي الذي مع هذا هذه ما لا كان كانت بين أو ثم بعد قبل كل قد لم لن هو هي إن ذلك تلك أي غير حيث "
    "عند منذ حتى كما لكن و به بها له لها فيه فيها منه منها عليه عليها أنه أنها وقد ولا وفي ومن",
    "tr": "ve bir bu da de için ile çok daha olarak en gibi ne o var olan ama sonra kadar her mi ki değil ise veya göre ya şey "
    "hem biz ben sen onun diye bunu iki tüm mı mu mü çünkü ancak",
}
