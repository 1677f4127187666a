# What a namespace consists of beside its bytes arrives, and changes of it follow without the bytes.
# SPDX-License-Identifier: Apache-2.0
import os
import struct
import unittest

from harness import MIB, TwoSites, wait_for, write

ACL_ACCESS, ACL_DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
USER_OBJ, USER, GROUP_OBJ, MASK, OTHER = 0x01, 0x02, 0x04, 0x10, 0x20
NOBODY_IN_PARTICULAR = 0xFFFFFFFF


def acl(uid, permissions=7):
    """A POSIX ACL with one named user, as the kernel takes it."""
    items = ((USER_OBJ, 6, NOBODY_IN_PARTICULAR), (USER, permissions, uid), (GROUP_OBJ, 4, NOBODY_IN_PARTICULAR),
             (MASK, 7, NOBODY_IN_PARTICULAR), (OTHER, 0, NOBODY_IN_PARTICULAR))
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *item) for item in items)


def make_file(path):
    write(path, b"content of " + os.path.basename(path).encode())


def make_directory(path):
    make_file(os.path.join(path, "inside"))


# What is preserved: a name, how the object is made, and how it is changed afterwards without a change of its bytes.
TABLE = (
    ("mode", make_file, lambda path: os.chmod(path, 0o4751), lambda path: os.chmod(path, 0o604)),
    ("owner", make_file, lambda path: os.chown(path, 4321, 8765), lambda path: os.chown(path, 5, 1)),
    ("mtime in ns", make_file, lambda path: os.utime(path, ns=(0, 1_234_567_890_123_456_789)), None),
    ("mtime before 1970", make_file, lambda path: os.utime(path, ns=(0, -1_000_000_001)), None),
    ("attribute", make_file, lambda path: os.setxattr(path, "user.a", b"\0\xff first"),
     lambda path: (os.setxattr(path, "user.a", b"second"), os.setxattr(path, "user.b", b""))),
    ("attribute that goes", make_file, lambda path: os.setxattr(path, "user.a", b"1"),
     lambda path: os.removexattr(path, "user.a")),
    ("ACL", make_file, lambda path: os.setxattr(path, ACL_ACCESS, acl(4321)),
     lambda path: os.setxattr(path, ACL_ACCESS, acl(4322, 4))),
    ("ACL that goes", make_file, lambda path: os.setxattr(path, ACL_ACCESS, acl(4321)),
     lambda path: os.removexattr(path, ACL_ACCESS)),
    ("directory's mode", make_directory, lambda path: os.chmod(path, 0o2750), lambda path: os.chmod(path, 0o1777)),
    ("directory's owner", make_directory, lambda path: os.chown(path, 4321, 8765), lambda path: os.chown(path, 0, 0)),
    ("directory's mtime", make_directory, lambda path: os.utime(path, ns=(0, 999_999_999)),
     lambda path: os.utime(path, ns=(0, 1_000_000_001))),
    ("directory's attribute", make_directory, lambda path: os.setxattr(path, "user.d", b"1"),
     lambda path: os.setxattr(path, "user.d", b"2")),
    ("directory's default ACL", make_directory, lambda path: os.setxattr(path, ACL_DEFAULT, acl(4321)),
     lambda path: os.removexattr(path, ACL_DEFAULT)),
    ("empty directory", os.mkdir, lambda path: os.chmod(path, 0o555), lambda path: os.chmod(path, 0o700)),
    ("empty file", lambda path: write(path, b""), lambda path: os.chmod(path, 0o400), lambda path: os.chmod(path, 0o644)),
    ("symlink's text", lambda path: os.symlink(b"../\xff/nowhere", os.fsencode(path)), lambda path: None, None),
    ("symlink's owner", lambda path: os.symlink(b"/dev/null", path), lambda path: os.lchown(path, 4321, 8765), None),
)


class Fidelity(TwoSites):
    def test_what_is_preserved(self):
        # Proves, row by row of the table, that what an object has beside its bytes arrives with it, and that what changes
        # of it later follows; for a large file the bytes do not travel again for that.
        self.start_world()
        for name, make, give, _ in TABLE:
            path = os.path.join(self.source, name)
            make(path)
            give(path)
        large = os.path.join(self.source, "large")
        write(large, os.urandom(4 * MIB))
        os.setxattr(large, "user.a", b"1")
        self.create_dataset()
        self.wait_settled()
        self.wait_equal(30)
        sent = self.payload_counted(4 * MIB)
        for name, _, _, change in TABLE:
            if change:
                change(os.path.join(self.source, name))
        os.setxattr(large, "user.a", b"2")
        os.chmod(large, 0o640)
        write(os.path.join(self.source, "marker"), b"10 bytes !")
        self.wait_equal(30)
        self.assertEqual(self.failures(), {})
        self.assertLess(self.payload_counted(sent + 10) - sent, 1 * MIB, "changes of metadata send no bytes")

    def test_holes_stay_holes_and_are_not_sent(self):
        # Proves that of a sparse file only its data travels, that its holes are holes at the target, and that a hole which
        # is filled, or made, later is followed.
        self.start_world()
        sparse = os.path.join(self.source, "sparse")
        with open(sparse, "wb") as file:
            file.truncate(300 * MIB)
            for offset in (0, 5 * MIB + 7, 100 * MIB, 300 * MIB - 5):
                file.seek(offset)
                file.write(b"data!")
        for name, size in (("hollow", 100 * MIB), ("small hollow", 5000), ("odd hollow", 3 * MIB + 1)):
            with open(os.path.join(self.source, name), "wb") as file:
                file.truncate(size)
        self.assertLess(os.stat(sparse).st_blocks, 1024, "the test needs a file system with holes")
        self.create_dataset()
        self.wait_settled()
        self.wait_equal(60)
        sent = self.payload_counted(4 * 4096)
        self.assertLess(sent, 2 * MIB)
        self.assertEqual(os.stat(os.path.join(self.replica, "hollow")).st_blocks, 0)
        with open(sparse, "r+b") as file:
            file.seek(200 * MIB)
            file.write(os.urandom(100_000))
        with open(os.path.join(self.source, "hollow"), "r+b") as file:
            file.write(b"no longer")
        os.truncate(os.path.join(self.source, "odd hollow"), 10 * MIB)
        self.wait_equal(60)
        self.assertLess(self.payload_counted(sent + 100_000), 4 * MIB)
        self.assertEqual(self.failures(), {})

    def test_renames_and_hard_links_send_no_bytes(self):
        # Proves that a renamed file, everything in a moved directory and every further hard link travel as names, that hard
        # links are hard links at the target, and that a log that is rotated sends its new file only.
        self.start_world()
        for name in ("large", "log", "log.1", "tree/one", "tree/deep/two", "shared/a"):
            write(os.path.join(self.source, name), os.urandom(2 * MIB))
        names = ("shared/a", "shared/b", "elsewhere")
        for name in names[1:]:
            os.link(os.path.join(self.source, "shared/a"), os.path.join(self.source, name))
        self.create_dataset()
        self.wait_settled()
        self.wait_equal(60)
        self.assert_one_file(names)
        self.assertLess(self.payload_counted(12 * MIB), 13 * MIB, "the bytes of three hard links travel once")
        sent = self.payload_counted(12 * MIB)
        for old, new in (("large", "larger"), ("tree", "moved"), ("log.1", "log.2"), ("log", "log.1")):
            os.rename(os.path.join(self.source, old), os.path.join(self.source, new))
        write(os.path.join(self.source, "log"), b"a new day")
        os.link(os.path.join(self.source, "larger"), os.path.join(self.source, "larger too"))
        os.chmod(os.path.join(self.source, "larger"), 0o600)
        self.wait_equal(60)
        self.assertLess(self.payload_counted(sent + len(b"a new day")) - sent, 1 * MIB)
        self.assert_one_file(("larger", "larger too"))
        with open(os.path.join(self.source, "elsewhere"), "r+b") as file:
            file.write(b"changed")
        os.unlink(os.path.join(self.source, "shared/b"))
        self.wait_equal(60)
        self.assert_one_file(("shared/a", "elsewhere"))
        self.assertEqual(self.failures(), {})

    def assert_one_file(self, names):
        """All of these are names of one inode at the target, which has no others."""
        found = [os.stat(os.path.join(self.replica, name)) for name in names]
        self.assertEqual({status.st_ino for status in found}, {found[0].st_ino})
        self.assertEqual(found[0].st_nlink, len(names))

    def test_labels_of_the_host_do_not_travel(self):
        # Proves that capabilities and trusted attributes of the source set nothing at the target, and that a changed one
        # keeps nothing from arriving.
        self.start_world()
        path = os.path.join(self.source, "tool")
        write(path, b"#!/bin/true\n", mode=0o755)
        os.setxattr(path, "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))
        os.setxattr(path, "trusted.mark", b"of the source")
        self.create_dataset()
        self.wait_settled()
        self.wait_equal(30)
        found = os.listxattr(os.path.join(self.replica, "tool"))
        self.assertEqual([name for name in found if not name.startswith("security.selinux")], [])


if __name__ == "__main__":
    unittest.main()
