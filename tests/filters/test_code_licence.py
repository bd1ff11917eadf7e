"""Licences are told by SPDX lines, usual headers and meta, and expressions are understood."""

import json
from typing import Any

import pytest

from pipeline.documents import Document
from pipeline.errors import RequestError
from pipeline.filters.code_licence import CodeLicence
from pipeline.filters.licences import allows, licence_of_header, spdx_in

DEFAULT = CodeLicence()


def reason(text: str, rule: CodeLicence = DEFAULT, **meta: Any) -> str | None:
    return rule.verdict(Document("id", text, "source", "origin#0", "2026-11", json.dumps(meta)))


HEADERS = {
    "MIT": "/*\n * Permission is hereby granted, free of charge, to any person obtaining a\n * copy of this software and associated\n */",
    "Apache-2.0": '# Licensed under the Apache License, Version 2.0 (the "License");\n# you may not use this file except',
    "BSD-2-Clause": "// Redistribution and use in source and binary forms, with or without\n// modification, are permitted",
    "BSD-3-Clause": "Redistribution and use in source and binary\nforms, with or without modification ... Neither the name of",
    "BSD-4-Clause": "Redistribution and use in source and binary forms ... All advertising materials mentioning ... Neither the name",
    "ISC": "Permission to use, copy, modify, and/or distribute this software for any purpose\nwith or without fee is hereby granted",
    "GPL-2.0-or-later": "under the terms of the GNU General Public License as published by the Free Software Foundation;\n"
    "; either version 2 of the License, or (at your option) any later version.",
    "GPL-3.0-only": "This file is under the GNU General Public License, version 3.",
    "LGPL-2.1-or-later": "% under the GNU Lesser General Public\n% License, either version 2.1, or (at your option) any later version",
    "AGPL-3.0-or-later": "GNU Affero General Public License, version 3 or any later version",
    "MPL-2.0": "This Source Code Form is subject to the terms of the Mozilla Public\n * License, v. 2.0. If a copy",
    "Unlicense": "This is free and unencumbered software released into the public domain.",
    "BSL-1.0": "// Distributed under the Boost Software License, Version 1.0.",
    "PSF-2.0": "# Licensed to PSF under a Contributor Agreement.",
}


@pytest.mark.parametrize(("licence", "header"), HEADERS.items())
def test_a_usual_header_names_its_licence(licence: str, header: str) -> None:
    code = f"{header}\n\nint main(void) {{ return 0; }}\n"
    assert licence_of_header(code) == licence
    assert reason(code) == (None if licence in CodeLicence().keep else "other-licence")


SPDX = {
    "// SPDX-License-Identifier: MIT\nint x;": "MIT",
    "/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */": "GPL-2.0-only WITH Linux-syscall-note",
    "#!/bin/sh\n# spdx-license-identifier: (MIT OR Apache-2.0)\n": "(MIT OR Apache-2.0)",
    "<!-- SPDX-License-Identifier: 0BSD -->": "0BSD",
    "x = 1": None,
    "# SPDX-License-Identifier:": None,
}


@pytest.mark.parametrize(("text", "expression"), SPDX.items())
def test_an_spdx_line_is_read_whatever_comments_look_like(text: str, expression: str | None) -> None:
    assert spdx_in(text) == expression


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        *(("MIT", True), ("mit", True), ("Apache-2.0+", True), ("GPL-3.0-only", False), ("", False), ("MIT Apache-2.0", False)),
        *(("MIT OR GPL-2.0-only", True), ("GPL-2.0-only OR MIT", True), ("MIT AND GPL-2.0-only", False), ("MIT AND Apache-2.0", True)),
        *(
            ("(MIT AND GPL-2.0-only) OR Apache-2.0", True),
            ("MIT AND (GPL-2.0-only OR Apache-2.0)", True),
            ("GPL-2.0-only AND (MIT OR ISC)", False),
        ),
        *(("GPL-2.0-only AND MIT OR Apache-2.0", True), ("Apache-2.0 WITH LLVM-exception", True), ("GPL-2.0 WITH x OR MIT", True)),
        *(("(MIT", False), ("MIT)", False), ("OR MIT", False), ("MIT OR", True), ("AND", False), ("()", False), ("(" * 5000, False)),
    ],
)
def test_an_expression_is_kept_if_kept_licences_can_meet_it(expression: str, allowed: bool) -> None:
    assert allows(expression, frozenset(["mit", "apache-2.0", "isc"])) is allowed


def test_what_names_no_licence_is_dropped_unless_it_is_kept() -> None:
    assert reason("x = 1\n") == "unknown-licence"
    assert reason("x = 1\n", CodeLicence(unknown=True)) is None
    assert reason("", license="") == "unknown-licence"


def test_the_record_says_what_the_file_does_not() -> None:
    assert reason("x = 1", license="MIT") is None
    assert reason("x = 1", license=["MIT", "Apache-2.0"]) is None
    assert reason("x = 1", license=["MIT", "GPL-3.0-only"]) == "other-licence"
    assert reason("x = 1", license={"name": "MIT"}) == "unknown-licence"
    assert reason("# SPDX-License-Identifier: GPL-3.0-only\n", license="MIT") == "other-licence"


def test_the_more_restrictive_of_two_headers_counts() -> None:
    assert reason(f"{HEADERS['MIT']}\n{HEADERS['GPL-3.0-only']}") == "other-licence"


def test_other_licences_can_be_kept() -> None:
    rule = CodeLicence(keep=("GPL-2.0-or-later",))
    assert reason(HEADERS["GPL-2.0-or-later"], rule) is None
    assert reason(HEADERS["MIT"], rule) == "other-licence"


def test_a_licence_that_is_mentioned_far_below_is_none_of_the_file() -> None:
    assert reason("x = 1\n" * 5000 + HEADERS["MIT"]) == "unknown-licence"


def test_identifiers_are_checked() -> None:
    for keep in ((), ("the MIT licence",)):
        with pytest.raises(RequestError, match=r"CodeLicence\.keep holds .*: use SPDX identifiers such as 'MIT'"):
            CodeLicence(keep=keep)
