#!/usr/bin/env python3
# Turns openapi.json into a C++ source file, after checking that it is JSON: embed.py INPUT OUTPUT
# SPDX-License-Identifier: Apache-2.0
import json
import sys

text = open(sys.argv[1], encoding="utf-8").read()
json.loads(text)
pieces = [text[at:at + 8000] for at in range(0, len(text), 8000)]  # compilers bound a literal's length
with open(sys.argv[2], "w", encoding="utf-8") as out:
    out.write('#include "control/api/api_server.h"\nnamespace longhaul::control {\n')
    out.write("std::string_view openapi_document() {\n    static const std::string text = [] {\n        std::string all;\n")
    for piece in pieces:
        out.write("        all += " + json.dumps(piece) + ";\n")
    out.write("        return all;\n    }();\n    return text;\n}\n}  // namespace longhaul::control\n")
