# Which files the lint checks look at, and how C++ is read without a compiler: includes, code without comments or texts.
# SPDX-License-Identifier: Apache-2.0
import os
import re
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CPP = (".h", ".cc")
SKIPPED_FOLDERS = {".git", "build", "node_modules", "__pycache__", ".cache"}


def files():
    """Relative paths of the project's own files: what git tracks or would track, or, outside git, what is there."""
    done = subprocess.run(["git", "-c", f"safe.directory={ROOT}", "-C", ROOT, "ls-files", "-z", "--cached", "--others",
                           "--exclude-standard"], capture_output=True)
    if done.returncode == 0:
        names = done.stdout.decode("utf-8", "surrogateescape").split("\0")
        return sorted(name for name in set(names) if name and os.path.isfile(os.path.join(ROOT, name)))
    found = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [f for f in folders if f not in SKIPPED_FOLDERS and not f.startswith("build")]
        found += [os.path.relpath(os.path.join(folder, name), ROOT) for name in names]
    return sorted(found)


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as file:
        return file.read()


def cpp_files(*rooms):
    """C++ files, all of them or those below the rooms named."""
    return [path for path in files() if path.endswith(CPP)
            and (not rooms or any(path.startswith(room.rstrip("/") + "/") for room in rooms))]


def script_kind(path):
    """'python', 'shell' or None, from the ending or the first line."""
    if path.endswith(".py"):
        return "python"
    if path.endswith(".sh"):
        return "shell"
    if os.path.basename(path).count(".") == 0 or path == ".ci/run":
        first = read(path).split("\n", 1)[0]
        if first.startswith("#!"):
            return "python" if "python" in first else "shell" if re.search(r"\b(ba)?sh\b", first) else None
    return None


_INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def includes(path):
    """[(line, name, quoted)] of a C++ file."""
    found = []
    for number, line in enumerate(read(path).splitlines(), 1):
        match = _INCLUDE.match(line)
        if match:
            found.append((number, match[2], match[1] == '"'))
    return found


# Comments and literals, longest forms first; raw strings before plain ones. A quote inside a number (1'000) is no char.
_NOISE = re.compile(r'R"([^(\s]*)\(.*?\)\1"|//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|(?<![0-9A-Za-z_])\'(?:\\.|[^\'\\\n])+\'', re.S)


def code(path):
    """The text of a C++ file with comments and literals blanked; line numbers stay right."""
    return _NOISE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), read(path))


def lines_matching(text, pattern):
    """[(line number, matched text)]"""
    expression = re.compile(pattern)
    return [(number, match[0]) for number, line in enumerate(text.splitlines(), 1) for match in expression.finditer(line)]
