"""Which encoding bytes are in, and their text. Nothing is ever replaced: bytes that do not decode wholly have no text.

In order: a byte-order mark; UTF-16 without one; UTF-8; GB18030 where that gives Chinese that people write;
Windows-1252 where that gives words of one western language; and what charset-normalizer finds likely. Text that
is UTF-8 but for a few bytes is damaged, not of another encoding.
"""

import codecs
import io
import tokenize

BINARY = "binary"
SAMPLE_BYTES = 1 << 20
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins as UTF-16's mark does, so it comes first
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
FREQUENT = frozenset(
    "的一是不了人我在有他这中大来上国个到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可她里后小么心多天而能好都然没日于起还发成事只作"
    "当想看文无开手十用主行方又如前所本见经头面公同三已老从动两长知民样现分将外但身些与高意进把法此实回二理美点月明其种声全工己话儿者向情部正名定"
    "這個們來為時說國會學對後過著還沒從動兩長發頭見經當開樣現將與實點種聲話問幾業間東電無門於雲風花春夜山水江清秋白何君歸詩酒"
)
"""Two of five characters of ordinary Chinese text are among these, one of five of old poetry; of random ones, one of a hundred."""
LEGACY = (
    *("cp1252", "cp1251", "koi8_r", "cp932", "euc_jis_2004", "cp949", "big5", "gb18030"),
    *("cp1250", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258", "cp874", "iso2022_jp"),
)
ALPHABETS = ("àâæçéèêëîïôœùûüÿ", "äöüßé", "áéíñóúüç", "áâãàçéêíóôõúü", "àèéìíîòóùú", "åäöæøéü", "àçéèíïóòúü", "áéëïóöüè")
"""What is not ASCII in French, German, Spanish, Portuguese, Italian, the languages of the North, Catalan and Dutch."""
SIGNS = frozenset("“”„‘’‚–—…«»‹›¿¡·•°§©®™€£¢¥ªº¼½¾±×÷µ¶†‡´`¨¸ \u00a0")
LEAST_FREQUENT, LEAST_ORDINARY, MOST_ACCENTED, LEAST_NATIVE = 0.12, 0.05, 0.3, 0.95


def decode(data: bytes, encoding: str | None = None) -> str | None:
    """The text of a whole file, in the given encoding or the one that it seems to be in; None for bytes that are no text."""
    encoding = encoding or detect(data)
    return None if encoding is None else _decoded(data, encoding)


def declared(data: bytes) -> str | None:
    """The encoding that Python source declares in its first two lines, other than UTF-8."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
    except SyntaxError:
        return None
    return None if encoding.startswith("utf-8") else encoding


def detect(data: bytes, whole: bool = True) -> str | None:
    """The encoding of a file from its bytes, or (not `whole`) from the first of them."""
    for mark, encoding in MARKS:
        if data.startswith(mark):
            return encoding
    if b"\0" in data:
        return _utf_16(data, whole)
    if _decoded(data, "utf-8", whole) is not None:
        return "utf-8"
    if _nearly_utf_8(data):
        return None
    return _chinese(data, whole) or _western(data, whole) or _likely(data)


def _decoded(data: bytes, encoding: str, whole: bool = True) -> str | None:
    try:
        return codecs.getincrementaldecoder(encoding)().decode(data, final=whole)
    except UnicodeDecodeError:
        return None


def _nearly_utf_8(data: bytes) -> bool:
    """Whether most of what is not ASCII is valid UTF-8: in other encodings hardly any of it is by chance."""
    text = data.decode("utf-8", "replace")
    others = sum(map(text.count, set(text) - _ASCII))
    return others > 4 * text.count("\ufffd")


def _utf_16(data: bytes, whole: bool) -> str | None:
    """UTF-16 without a mark: the byte order in which the text has ordinary characters, and no NUL."""
    shares = {encoding: _ordinary(_decoded(data, encoding, whole)) for encoding in ("utf-16-le", "utf-16-be")}
    best = max(shares, key=shares.__getitem__)
    return best if shares[best] > LEAST_ORDINARY else None


def _ordinary(text: str | None) -> float:
    """The share of ASCII and of frequent Chinese characters."""
    if not text or "\0" in text:
        return 0.0
    return sum(map(text.count, set(text) & (_ASCII | FREQUENT))) / len(text)


def _chinese(data: bytes, whole: bool) -> str | None:
    """GB18030, or UTF-16 without a single character of ASCII, where that makes frequent characters of Chinese frequent."""
    for encoding in ("gb18030", "utf-16-le", "utf-16-be"):
        text = _decoded(data, encoding, whole)
        if text:
            letters = sum(map(text.count, set(text) - _ASCII))
            if letters and sum(map(text.count, set(text) & FREQUENT)) > LEAST_FREQUENT * letters:
                return encoding
    return None


def _western(data: bytes, whole: bool) -> str | None:
    """Windows-1252, where that makes words with the accents of one of its languages."""
    text = _decoded(data, "cp1252", whole)
    if text is None:
        return None
    text = text.lower()
    counts = {sign: text.count(sign) for sign in set(text) - _ASCII - SIGNS}
    accented = sum(counts.values())
    native = max(sum(counts.get(letter, 0) for letter in alphabet) for alphabet in ALPHABETS)
    return "cp1252" if accented <= MOST_ACCENTED * len(text) and native >= LEAST_NATIVE * accented else None


def _likely(data: bytes) -> str | None:
    """The likeliest of the encodings that files without a mark are found in; the commonest where several are as likely."""
    from charset_normalizer import from_bytes

    matches = from_bytes(data[:SAMPLE_BYTES], cp_isolation=list(LEGACY))
    best = matches.best()
    if best is None:
        return None
    close = {match.encoding for match in matches if match.chaos <= best.chaos + 0.02 and match.coherence >= best.coherence - 0.1}
    return next(encoding for encoding in (*LEGACY, best.encoding) if encoding in close)


_ASCII = frozenset(map(chr, range(128)))
