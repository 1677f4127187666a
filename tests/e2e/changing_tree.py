# A source tree that never rests: seeded creates, overwrites, appends, renames, deletes and metadata changes, and their model.
# SPDX-License-Identifier: Apache-2.0
"""Every version that a path ever had is told to `Versions` before the tree shows it, so that whatever a reader sees at the
target is known to be whole, or is wrong. Files are replaced by rename and appended to by one write, as careful writers do:
at every moment what stands at a path is one of its versions."""
import os
import random
import shutil

DIRECTORIES = ("", "a", "a/b", "a/b/c", "d", "d/e")
SMALL_BYTES_MAX = 60_000
LARGE_BYTES_MAX = 12 << 20


class ChangingTree:
    """The only writer of `versions.root`. `scratch` is a folder of the same file system, outside it."""

    def __init__(self, versions, scratch, seed):
        self.versions = versions
        self.root = os.fsdecode(versions.root)
        self.scratch = scratch
        self.rng = random.Random(seed)
        self.made = 0
        for directory in DIRECTORIES:
            os.makedirs(os.path.join(self.root, directory), exist_ok=True)

    def files(self):
        found = []
        for folder, _, names in os.walk(self.root):
            found += [os.path.relpath(os.path.join(folder, name), self.root) for name in names
                      if not os.path.islink(os.path.join(folder, name))]
        return sorted(found)

    def stamps(self):
        """{path: (inode, mtime, size)} of every file: what differs between two looks has to travel."""
        found = {}
        for name in self.files():
            status = os.stat(os.path.join(self.root, name))
            found[name] = (status.st_ino, status.st_mtime_ns, status.st_size)
        return found

    def fresh_name(self):
        self.made += 1
        directories = sorted(folder for folder, _, _ in os.walk(self.root))
        return os.path.relpath(os.path.join(self.rng.choice(directories), f"file-{self.made:05d}"), self.root)

    def put(self, name, content):
        path = os.path.join(self.scratch, "next")
        with open(path, "wb") as file:
            file.write(content)
        self.versions.learn_from(path, name)
        os.rename(path, os.path.join(self.root, name))

    # ---- one change each ------------------------------------------------------------------------------------------------

    def create(self):
        self.put(self.fresh_name(), self.rng.randbytes(self.rng.randrange(SMALL_BYTES_MAX)))

    def create_large(self):
        self.put(self.fresh_name(), self.rng.randbytes(self.rng.randrange(LARGE_BYTES_MAX // 4, LARGE_BYTES_MAX)))

    def overwrite(self, name):
        self.put(name, self.rng.randbytes(self.rng.randrange(SMALL_BYTES_MAX)))

    def append(self, name):
        path, more = os.path.join(self.root, name), self.rng.randbytes(self.rng.randrange(1, 4096))
        whole = os.path.join(self.scratch, "next")
        shutil.copyfile(path, whole)
        with open(whole, "ab") as file:
            file.write(more)
        self.versions.learn_from(whole, name)
        os.unlink(whole)
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(descriptor, more)
        finally:
            os.close(descriptor)

    def rename(self, name):
        target = self.fresh_name()
        self.versions.learn_from(os.path.join(self.root, name), target)
        os.rename(os.path.join(self.root, name), os.path.join(self.root, target))

    def delete(self, name):
        os.unlink(os.path.join(self.root, name))

    def touch(self, name):
        path = os.path.join(self.root, name)
        if self.rng.random() < 0.5:
            os.chmod(path, self.rng.choice((0o600, 0o640, 0o644, 0o755)))
        else:
            os.utime(path, ns=(1, self.rng.randrange(10**18)))

    def link(self):
        path = os.path.join(self.root, f"link-{self.rng.randrange(8)}")
        if os.path.lexists(path):
            os.unlink(path)
        os.symlink(f"text-{self.rng.randrange(1000)}", path)

    def folder(self):
        path = os.path.join(self.root, f"folder-{self.rng.randrange(4)}")
        if os.path.isdir(path):
            shutil.rmtree(path)
        else:
            os.makedirs(os.path.join(path, "within"))

    # ---- many ---------------------------------------------------------------------------------------------------------------

    def change(self, count):
        """`count` changes, a few of them large files."""
        for _ in range(count):
            files = self.files()
            if len(files) < 10 or self.rng.random() < 0.35:
                self.create_large() if self.rng.random() < 0.1 else self.create()
                continue
            one = self.rng.choice((self.overwrite, self.append, self.rename, self.delete, self.touch, self.link, self.folder))
            one() if one in (self.link, self.folder) else one(self.rng.choice(files))
