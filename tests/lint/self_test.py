# Proves that the lint rules bite: each is shown a small tree that breaks it, and one that does not.
# SPDX-License-Identifier: Apache-2.0
import os
import tempfile

import rules
import sources

HEADER = "// One idea, said in a whole sentence.\n// SPDX-License-Identifier: Apache-2.0\n"
# rule -> (file that breaks it, its text after the header)
BREAKS = {
    "dataplane_layers_use_only_those_below": ("dataplane/fec/a.cc", '#include "dataplane/session/sender.h"\n'),
    "layers_below_worker_are_sans_io": ("dataplane/session/a.cc", "#include <chrono>\n"),
    "layers_below_worker_do_not_use_drivers": ("dataplane/wire/a.cc", '#include "drivers/nic/nic.h"\n'),
    "drivers_do_not_know_who_uses_them": ("drivers/nic/a.cc", '#include "dataplane/worker/worker.h"\n'),
    "control_moves_no_payload": ("control/api/a.cc", '#include "drivers/storage/storage.h"\n'),
    "includes_are_written_from_the_root": ("control/api/a.cc", '#include "neighbour.h"\n'),
    "product_does_not_include_tests": ("control/api/a.cc", "#include <gtest/gtest.h>\n"),
    "headers_are_included_once": ("dataplane/base/a.h", "int x;\n"),
    "files_hold_one_idea": ("dataplane/base/a.cc", "\n" * 600),
    "text_files_are_clean": ("dataplane/base/a.cc", "int x; \n"),
    "nothing_is_left_to_do": ("dataplane/base/a.cc", "// TO" + "DO: later\n"),
    "product_code_avoids_unsafe_calls": ("drivers/nic/a.cc", "void f() { std::system(command); }\n"),
    "tests_do_not_sleep": ("tests/unit/a_test.cc", "void f() { std::this_thread::sleep_for(x); }\n"),
    "product_code_does_not_know_tests": ("dataplane/base/a.cc", "#define private public\n"),
}
# Things that look like a break and are none.
HARMLESS = {
    "dataplane/wire/b.cc": '#include "dataplane/base/b.h"\n// system( in a comment; "TO-DO"\nconst char* t = "rand(";\nint n = 1\'000;\n',
    "dataplane/base/b.h": "#pragma once\n",
    "dataplane/worker/b.cc": '#include <chrono>\n#include <rte_mbuf.h>\nvoid g() { operating_system(1); x.system(2); }\n',
    "tests/unit/b_test.cc": "void f() {\n    const auto deadline = now() + limit;\n    while (now() < deadline)\n"
                            "        std::this_thread::sleep_for(tick);\n}\n",
}


def every_rule_bites():
    """A rule that no file can break would keep nothing true."""
    bad, root = [], sources.ROOT
    try:
        for name, (path, text) in BREAKS.items():
            rule = getattr(rules, name)
            with tempfile.TemporaryDirectory() as folder:
                sources.ROOT = folder
                for other, content in {**HARMLESS, rules.RATCHET: ""}.items():
                    put(folder, other, HEADER + content if other != rules.RATCHET else "")
                harmless = rule()
                if harmless:
                    bad.append(f"{name} objects to a harmless tree: {harmless}")
                put(folder, path, HEADER + text)
                if not rule():
                    bad.append(f"{name} does not see {path} breaking it")
    finally:
        sources.ROOT = root
    return bad


def put(folder, path, text):
    os.makedirs(os.path.dirname(os.path.join(folder, path)), exist_ok=True)
    with open(os.path.join(folder, path), "w") as file:
        file.write(text)


RULES = [every_rule_bites]
