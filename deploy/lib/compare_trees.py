#!/usr/bin/env python3
# Says whether a replica is its source: every byte, and type, mode, owner, mtime in ns, symlink text, extended attributes,
# ACLs and holes of every object.
# SPDX-License-Identifier: Apache-2.0
"""Compares two directory trees the way an auditor would: nothing sampled, nothing rounded, nothing taken on trust.

Left out, because they are not the replica's content: `.longhaul` at the target's root (Longhaul's own staging), attributes
that do not travel (security labels, trusted.*), and the metadata of the two roots themselves, which belong to whoever made them.
"""

import argparse
import errno
import json
import os
import stat
import sys
from dataclasses import dataclass, field

CHUNK = 1 << 20
BLOCK = 512              # stat(2): the unit of st_blocks
HOLE_SLACK = 64 << 10    # file systems round differently, and keep their maps of a file in blocks of it
OWN_DIRECTORY = b".longhaul"


@dataclass
class Comparison:
    """What was looked at and how it differed. `differences` lists the first `limit`, `different` counts all."""

    limit: int = 20
    files: int = 0
    directories: int = 0
    symlinks: int = 0
    bytes: int = 0
    different: int = 0
    differences: list = field(default_factory=list)

    @property
    def equal(self):
        return self.different == 0

    def differ(self, path, text):
        self.different += 1
        if len(self.differences) < self.limit:
            self.differences.append(f"{printable(path)}: {text}")

    def as_json(self):
        return {"equal": self.equal, "files": self.files, "directories": self.directories, "symlinks": self.symlinks,
                "bytes": self.bytes, "different": self.different, "differences": self.differences}


def printable(path):
    """Path bytes as text for people: UTF-8 where it is, \\xNN where it is not, control characters escaped."""
    text = path.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def walk(root):
    """{relative path bytes: lstat} of everything beneath root, Longhaul's own directory at the root left out."""
    found = {}
    pending = [b""]
    while pending:
        directory = pending.pop()
        with os.scandir(os.path.join(root, directory)) as entries:
            for entry in entries:
                if directory == b"" and entry.name == OWN_DIRECTORY:
                    continue
                path = os.path.join(directory, entry.name)
                found[path] = entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    pending.append(path)
    return found


def allocated(status):
    return status.st_blocks * BLOCK


def attributes_of(path):
    """{name: value} of the extended attributes that travel: user.* and POSIX ACLs."""
    try:
        names = os.listxattr(path, follow_symlinks=False)
        return {name: os.getxattr(path, name, follow_symlinks=False) for name in names
                if name.startswith(("user.", "system.posix_acl_"))}
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return {}
        raise


def kind_of(status):
    for test, name in ((stat.S_ISREG, "file"), (stat.S_ISDIR, "directory"), (stat.S_ISLNK, "symlink")):
        if test(status.st_mode):
            return name
    return "special file"


def first_difference(left, right):
    """Offset of the first byte that differs, or None; both are paths of files of equal length."""
    offset = 0
    with open(left, "rb", buffering=0) as a, open(right, "rb", buffering=0) as b:
        while True:
            block_a, block_b = a.read(CHUNK), b.read(CHUNK)
            if block_a != block_b:
                for index, (x, y) in enumerate(zip(block_a, block_b)):
                    if x != y:
                        return offset + index
                return offset + min(len(block_a), len(block_b))
            if not block_a:
                return None
            offset += len(block_a)


def compare_object(result, path, source, target, a, b, owners, directory_mtime, content):
    kind = kind_of(a)
    if kind != kind_of(b):
        result.differ(path, f"is a {kind} at the source and a {kind_of(b)} at the target")
        return
    if kind == "symlink":
        result.symlinks += 1
        texts = os.readlink(source), os.readlink(target)
        if texts[0] != texts[1]:
            result.differ(path, f"points to {printable(texts[0])}, at the target to {printable(texts[1])}")
    elif kind == "directory":
        result.directories += 1
    elif kind == "file":
        result.files += 1
        if a.st_size != b.st_size:
            result.differ(path, f"has {a.st_size} bytes, at the target {b.st_size}")
        elif allocated(a) < a.st_size and allocated(b) > allocated(a) + HOLE_SLACK:
            result.differ(path, f"occupies {allocated(a)} bytes, at the target {allocated(b)}: its holes were filled")
        elif content:
            offset = first_difference(source, target)
            if offset is not None:
                result.differ(path, f"content differs from byte {offset}")
            result.bytes += a.st_size
    if kind != "symlink" and stat.S_IMODE(a.st_mode) != stat.S_IMODE(b.st_mode):
        result.differ(path, f"mode {stat.S_IMODE(a.st_mode):04o}, at the target {stat.S_IMODE(b.st_mode):04o}")
    if kind != "symlink":
        left, right = attributes_of(source), attributes_of(target)
        for name in sorted(left.keys() | right.keys()):
            if left.get(name) != right.get(name):
                result.differ(path, f"attribute {name} {left.get(name)}, at the target {right.get(name)}")
    if owners and (a.st_uid, a.st_gid) != (b.st_uid, b.st_gid):
        result.differ(path, f"owner {a.st_uid}:{a.st_gid}, at the target {b.st_uid}:{b.st_gid}")
    if a.st_mtime_ns != b.st_mtime_ns and (kind == "file" or (kind == "directory" and directory_mtime)):
        result.differ(path, f"mtime {a.st_mtime_ns} ns, at the target {b.st_mtime_ns} ns")


def compare_trees(source, target, owners=None, directory_mtime=True, content=True, limit=20, progress=None):
    """Compares everything beneath both roots; returns a Comparison. owners=None: compared when we are root, since
    nobody else can give files away."""
    if owners is None:
        owners = os.geteuid() == 0
    source, target = os.fsencode(source), os.fsencode(target)
    left, right = walk(source), walk(target)
    result = Comparison(limit=limit)
    for count, path in enumerate(sorted(left)):
        if path not in right:
            result.differ(path, "is missing at the target")
            continue
        compare_object(result, path, os.path.join(source, path), os.path.join(target, path), left[path], right[path],
                       owners, directory_mtime, content)
        if progress and count % 200 == 0:
            progress(result)
    for path in sorted(right.keys() - left.keys()):
        result.differ(path, "exists at the target only")
    return result


def main():
    parser = argparse.ArgumentParser(description="Compare a replica with its source; exit 1 when they differ.")
    parser.add_argument("source")
    parser.add_argument("target")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--no-owners", action="store_true", help="do not compare uid and gid")
    parser.add_argument("--no-directory-mtime", action="store_true", help="do not compare the mtime of directories")
    parser.add_argument("--limit", type=int, default=20, help="differences listed (all are counted)")
    arguments = parser.parse_args()
    try:
        result = compare_trees(arguments.source, arguments.target, owners=False if arguments.no_owners else None,
                               directory_mtime=not arguments.no_directory_mtime, limit=arguments.limit)
    except OSError as error:
        sys.exit(f"compare_trees: {error}")
    if arguments.json:
        print(json.dumps(result.as_json(), indent=2))
    else:
        for line in result.differences:
            print(line)
        if result.different > len(result.differences):
            print(f"... and {result.different - len(result.differences)} more")
        print(f"{'equal' if result.equal else 'DIFFERENT'}: {result.files} files, {result.directories} directories, "
              f"{result.symlinks} symlinks, {result.bytes} bytes compared, {result.different} differences")
    sys.exit(0 if result.equal else 1)


if __name__ == "__main__":
    main()
