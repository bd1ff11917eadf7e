"""The licence that a source file names: its SPDX line, or the words of the usual headers."""

import re

SPDX = "spdx-license-identifier:"
HEAD = 8_192
"""Characters at the beginning of a file in which its licence is looked for."""
LONGEST = 200
PLAIN = str.maketrans({chr(code): " " for code in range(128) if not (chr(code).isalnum() or chr(code) in ".+")})

PHRASES = (
    (("gnu affero general public license",), "AGPL"),
    (("gnu lesser general public license", "gnu library general public license"), "LGPL"),
    (("gnu general public license", "released under the gpl", "licensed under the gpl", "under the terms of the gpl"), "GPL"),
    (("mozilla public license",), "MPL"),
    (("eclipse public license",), "EPL"),
    (("common development and distribution license",), "CDDL"),
    (("creative commons attribution sharealike", "creative commons attribution share alike"), "CC-BY-SA"),
    (("creative commons attribution noncommercial", "creative commons attribution non commercial"), "CC-BY-NC"),
    (
        ("licensed under the apache license", "apache license version 2.0", "apache software license version 2", "apache 2.0 license"),
        "Apache-2.0",
    ),
    (("permission is hereby granted free of charge to any person obtaining a copy of this software",), "MIT"),
    (("licensed under the mit license", "under the mit license", "released under mit license", "mit license see", "license mit"), "MIT"),
    (("permission to use copy modify and or distribute this software for any purpose with or without fee is hereby granted",), "ISC"),
    (("permission to use copy modify and distribute this software for any purpose with or without fee is hereby granted",), "ISC"),
    (("redistribution and use in source and binary forms", "redistribution and use of this software in source and binary forms"), "BSD"),
    (("3 clause bsd", "bsd 3 clause", "new bsd license", "modified bsd license"), "BSD-3-Clause"),
    (("2 clause bsd", "bsd 2 clause", "simplified bsd license"), "BSD-2-Clause"),
    (("under the bsd license", "bsd style license"), "BSD-3-Clause"),
    (("boost software license",), "BSL-1.0"),
    (("free and unencumbered software released into the public domain",), "Unlicense"),
    (("this software is provided as is without any express or implied warranty in no event will the authors be held liable",), "Zlib"),
    (("creative commons zero", "cc0 1.0 universal", "under cc0"), "CC0-1.0"),
    (("python software foundation license", "licensed to psf under a contributor agreement"), "PSF-2.0"),
)
"""Words of headers, in lower case and without punctuation, and what they name; the more restrictive first."""
CLAUSES = (
    ("advertising materials mentioning", "BSD-4-Clause"),
    ("neither the name", "BSD-3-Clause"),
    ("may not be used to endorse", "BSD-3-Clause"),
)
VERSION = re.compile(r"version (\d)|v\.? ?(\d)|gpl ?v?(\d)")
LATER = ("any later version", "or later")


def spdx_in(text: str) -> str | None:
    """The expression of the first SPDX-License-Identifier line at the beginning of a text."""
    lowered = text[:HEAD].lower()
    place = lowered.find(SPDX)
    if place < 0 or len(lowered) != len(text[:HEAD]):
        return None
    line = text[place + len(SPDX) : place + len(SPDX) + LONGEST].partition("\n")[0]
    return line.replace("*/", " ").replace("-->", " ").strip(" \t\r\"'#;/") or None


def licence_of_header(text: str) -> str | None:
    """The SPDX identifier of the licence whose usual words stand at the beginning of a text."""
    words = " ".join(text[:HEAD].lower().translate(PLAIN).split())
    for phrases, name in PHRASES:
        place = min((found for phrase in phrases if (found := words.find(phrase)) >= 0), default=-1)
        if place >= 0:
            return _versioned(words, place, name)
    return None


def _versioned(words: str, place: int, name: str) -> str:
    """The identifier with the version or the clauses that the words after the name say."""
    if name == "BSD":
        return next((licence for clause, licence in CLAUSES if clause in words), "BSD-2-Clause")
    if name not in ("AGPL", "LGPL", "GPL", "MPL", "EPL", "CDDL"):
        return name
    after = words[max(place - 60, 0) : place + 300]
    match = VERSION.search(after, min(place, 60))
    number = next(filter(None, match.groups())) if match else {"AGPL": "3", "LGPL": "2.1", "GPL": "2"}.get(name, "2")
    version = {"LGPL2": "2.1"}.get(name + number, number if "." in number else f"{number}.0")
    return f"{name}-{version}" + (("-or-later" if any(word in after for word in LATER) else "-only") if "GPL" in name else "")


def allows(expression: str, kept: frozenset[str]) -> bool:
    """Whether an SPDX expression can be met by licences of `kept` (in lower case): all that AND joins, one of what OR joins.

    An exception (WITH) only adds to what is allowed, so it is looked past. What is no expression allows nothing.
    """
    tokens = expression[:LONGEST].lower().replace("(", " ( ").replace(")", " ) ").split()
    allowed, rest = _any_of(tokens, kept)
    return allowed and not rest


def _any_of(tokens: list[str], kept: frozenset[str]) -> tuple[bool, list[str]]:
    allowed, rest = _all_of(tokens, kept)
    while rest and rest[0] == "or":
        other, rest = _all_of(rest[1:], kept)
        allowed = allowed or other
    return allowed, rest


def _all_of(tokens: list[str], kept: frozenset[str]) -> tuple[bool, list[str]]:
    allowed, rest = _one(tokens, kept)
    while rest and rest[0] == "and":
        other, rest = _one(rest[1:], kept)
        allowed = allowed and other
    return allowed, rest


def _one(tokens: list[str], kept: frozenset[str]) -> tuple[bool, list[str]]:
    if not tokens:
        return False, []
    if tokens[0] == "(":
        allowed, rest = _any_of(tokens[1:], kept)
        return (allowed, rest[1:]) if rest and rest[0] == ")" else (False, ["("])
    name = tokens[0].removesuffix("+")
    rest = tokens[3:] if len(tokens) > 2 and tokens[1] == "with" else tokens[1:]
    return name in kept, rest
