#!/usr/bin/env python3
# Makes the same test tree from the same seed: sizes from empty to 256 MiB, odd names, modes, owners and times.
# SPDX-License-Identifier: Apache-2.0
"""Deterministic source trees for quickstart and the end-to-end tests.

Content is a pseudo-random stream per file, so that a block that lands in the wrong file or at the wrong offset
never looks right by accident. Times carry nanoseconds, because a replica that rounds them is not a replica.
"""

import argparse
import math
import os
import random
import sys
from dataclasses import dataclass

MIB = 1 << 20
CHUNK = 1 * MIB
LARGEST = 256 * MIB

# Names that break programs which treat paths as text, as options, as lists of words, or as globs.
ODD_NAMES = [
    b"with space", b" leading space", b"trailing space ", b"tab\there", b"new\nline", b"quote'single", b'quote"double',
    b"back\\slash", b"-leading-dash", b"--option=value", b"trailing.dot.", b"...", b".hidden", b"*star?", b"[bracket]",
    b"semi;colon", b"am&persand", b"dollar$HOME", b"`tick`", b"percent%20", b"hash#tag", b"colon:name", b"CON",
    "umlaut-\u00fc".encode(), "decomposed-u\u0308".encode(), "kanji-\u6771\u4eac".encode(),
    "emoji-\U0001f680".encode(), "right-to-left-\u05d0\u05d1".encode(), b"latin1-\xe9", b"bytes-\xff\xfe\x80",
    b"half-utf8-\xc3", b"bell\x07", b"delete\x7f", b"a" * 255, "\u20ac".encode() * 85, b".longhaul-not-ours",
]
MODES = [0o644] * 12 + [0o600, 0o400, 0o755, 0o640, 0o444, 0o4755, 0o664]
if os.geteuid() == 0:
    MODES.append(0o200)     # its owner cannot read it; root can
DIRECTORY_MODES = [0o755] * 6 + [0o700, 0o750, 0o1777, 0o2755]
NANOSECONDS = 10**9


@dataclass
class Made:
    """What was made, for the progress line and for the final count."""

    files: int = 0
    directories: int = 0
    symlinks: int = 0
    bytes: int = 0


def file_sizes(rng, files, size_bytes):
    """`files` sizes that sum to `size_bytes`: one as large as allowed, some empty, the rest spread over decades."""
    if files <= 0:
        return []
    if files == 1:
        return [size_bytes]
    largest = min(LARGEST, size_bytes // 4)
    empty = max(1, files // 50) if files >= 8 else 0
    spread = files - 1 - empty
    if spread <= 0:
        return [size_bytes] + [0] * (files - 1)
    remaining = size_bytes - largest
    # Log-uniform over seven decades, then scaled: most files are small, most bytes sit in few files. The cap keeps
    # `largest` the largest; what it cuts off is handed to the files that have room.
    raw = [math.exp(rng.uniform(0, math.log(1e7))) for _ in range(spread)]
    scale = remaining / sum(raw)
    sizes = [min(max(1, int(value * scale)), largest or 1) for value in raw]
    missing = size_bytes - largest - sum(sizes)
    position = 0
    while missing > 0 and position < spread:
        grow = min(missing, max(0, largest - sizes[position]))
        sizes[position] += grow
        missing -= grow
        position += 1
    sizes = [largest + max(0, missing)] + sizes + [0] * empty
    # Sizes at the edges of blocks, symbols and stripes, where off-by-one errors live; borrowed from no other file:
    # the sum may differ from `size_bytes` by a few hundred KiB.
    edges = [1, 1407, 1408, 1409, 4095, 4096, 4097, 65535, 65536, 65537, 64 * 1408 - 1, 64 * 1408, 64 * 1408 + 1]
    if spread >= 4 * len(edges):
        order = sorted(range(1, 1 + spread), key=lambda i: sizes[i])
        for edge, index in zip(edges, order[spread // 2:]):
            sizes[index] = edge
    rng.shuffle(sizes)
    return sizes


def write_content(path, size, seed):
    """A file of `size` bytes from its own stream. `path` is bytes."""
    stream = random.Random(seed)
    with open(path, "wb", buffering=0) as out:
        left = size
        while left > 0:
            block = stream.randbytes(min(CHUNK, left))
            out.write(block)
            left -= len(block)


def pick_time(rng):
    """A modification time in ns: mostly recent years, some very old, some in the future."""
    kind = rng.random()
    if kind < 0.03:
        second = rng.randrange(1, 86400)                            # the first day of 1970
    elif kind < 0.06:
        second = rng.randrange(4_100_000_000, 4_200_000_000)        # about the year 2100
    else:
        second = rng.randrange(1_200_000_000, 1_760_000_000)
    return second * NANOSECONDS + rng.randrange(NANOSECONDS)


def pick_owner(rng):
    """Another owner for some, if this process may give files away."""
    if os.geteuid() != 0 or rng.random() < 0.9:
        return os.geteuid(), os.getegid()
    return rng.choice([(1000, 1000), (65534, 65534), (0, 1000), (12345, 54321)])


def set_metadata(path, mode, owner, time_ns):
    # Order matters: chown clears the set-user-id bit, chmod does not touch mtime, utime comes last.
    if os.geteuid() == 0:
        os.chown(path, *owner)
    os.chmod(path, mode)
    os.utime(path, ns=(time_ns, time_ns))


def make_directories(rng, root, count, odd):
    """Nested directories below root, deepest last; returns their paths relative to root as bytes, b'' first."""
    directories = [b""]
    for index in range(count):
        parent = rng.choice(directories[-8:] if rng.random() < 0.5 else directories)
        name = b"dir-%03d" % index
        if odd and index < 6:
            name = [b"dir with space", b"dir\nnewline", "verzeichnis-\u00e4".encode(), b"dir-\xff", b"-dir", b"d" * 255][index]
        path = os.path.join(parent, name)
        if len(path) > 1200:
            path = name
        os.mkdir(os.path.join(root, path))
        directories.append(path)
    return directories


def make_symlinks(rng, root, directories, files, count):
    """Relative, absolute, dangling, upward and looping links: their text is what is replicated, never their target."""
    texts = [b"nowhere/at all", b"../../outside-of-the-tree", b".", b"loop-5", b"/etc/hostname", b"x" * 1000,
             b"bytes-\xff\xfe", b"new\nline"]
    made = 0
    for index in range(count):
        if index < len(texts):
            text, parent = texts[index], b""
        else:
            target = rng.choice(files)
            parent = rng.choice(directories)
            text = os.path.relpath(os.path.join(root, target), os.path.join(root, parent))
        name = b"loop-5" if index == 3 else b"link-%03d" % index
        path = os.path.join(root, parent, name)
        os.symlink(text, path)
        time_ns = pick_time(rng)
        os.utime(path, ns=(time_ns, time_ns), follow_symlinks=False)
        made += 1
    return made


def make_tree(root, seed=1, size_bytes=1024 * MIB, files=5000, odd=True, progress=None):
    """Fills the empty directory `root`; returns Made. The same arguments give the same tree, owners aside."""
    rng = random.Random(seed)
    root = os.fsencode(root)
    os.makedirs(root, exist_ok=True)
    if os.listdir(root):
        raise FileExistsError(f"{os.fsdecode(root)} is not empty")
    made = Made()
    plain = files <= 2
    directories = make_directories(rng, root, 0 if plain else max(3, min(200, files // 25)), odd)
    paths, metadata = [], []
    for index, size in enumerate(file_sizes(rng, files, size_bytes)):
        if odd and not plain and index < len(ODD_NAMES):
            parent, name = (b"" if index % 2 else directories[-1 - index % 3]), ODD_NAMES[index]
        else:
            parent, name = rng.choice(directories), b"file-%05d.bin" % index
        path = os.path.join(parent, name)
        write_content(os.path.join(root, path), size, f"{seed}:{index}")
        metadata.append((path, rng.choice(MODES), pick_owner(rng), pick_time(rng)))
        paths.append(path)
        made.files += 1
        made.bytes += size
        if progress and index % 100 == 0:
            progress(made)
    if not plain:
        made.symlinks = make_symlinks(rng, root, directories, paths, max(12, min(100, files // 50)))
        for index in range(3):
            path = b"empty-%d" % index
            os.mkdir(os.path.join(root, path))
            directories.append(path)
    for path, mode, owner, time_ns in metadata:
        set_metadata(os.path.join(root, path), mode, owner, time_ns)
    # Deepest first: setting a child's metadata does not touch its parent's mtime, but keep it independent of that.
    for path in sorted(directories[1:], key=lambda p: -p.count(b"/")):
        set_metadata(os.path.join(root, path), rng.choice(DIRECTORY_MODES), pick_owner(rng), pick_time(rng))
    made.directories = len(directories) - 1
    return made


def main():
    parser = argparse.ArgumentParser(description="Make a deterministic test tree.")
    parser.add_argument("root", help="directory to fill; created when it does not exist, must be empty")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--size", type=int, default=1024, metavar="MIB", help="bytes in all (default 1024 MiB)")
    parser.add_argument("--files", type=int, default=5000, help="1 makes a single file of the whole size")
    parser.add_argument("--no-odd", action="store_true", help="plain names only")
    arguments = parser.parse_args()
    try:
        made = make_tree(arguments.root, arguments.seed, arguments.size * MIB, arguments.files, not arguments.no_odd)
    except OSError as error:
        sys.exit(f"make_tree: {error}")
    print(f"{made.files} files, {made.directories} directories, {made.symlinks} symlinks, {made.bytes} bytes")


if __name__ == "__main__":
    main()
