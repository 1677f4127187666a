# The end-to-end tests' ground: a world of two sites per test, trees to replicate, and checks that look at the disk.
# SPDX-License-Identifier: Apache-2.0
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "deploy", "lib"))

from compare_trees import compare_trees, printable, walk  # noqa: E402
from make_tree import make_tree  # noqa: E402
from processes import Failed, wait_for  # noqa: E402,F401
from two_links import TwoLinks  # noqa: E402
from world import Link, Options, World, listed, settled  # noqa: E402

MIB = 1 << 20


def build_folder():
    """The build whose programs are tested: LONGHAUL_BUILD, or the newest of the usual ones."""
    named = os.environ.get("LONGHAUL_BUILD")
    if named:
        return os.path.abspath(named)
    usual = [os.path.join(ROOT, "build", name) for name in ("ci-gcc", "release")]
    built = [path for path in usual if os.path.exists(os.path.join(path, "build.ninja"))]
    if not built:
        raise Failed("no build to test: run tests/run or deploy/quickstart first, or set LONGHAUL_BUILD")
    return max(built, key=lambda path: os.stat(os.path.join(path, "build.ninja")).st_mtime)


def write(path, content, mode=None, mtime_ns=None):
    """Makes or replaces a file; parents are made. `path` is text or bytes."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)
    if mode is not None:
        os.chmod(path, mode)
    if mtime_ns is not None:
        os.utime(path, ns=(mtime_ns, mtime_ns))


class Versions:
    """Every complete content that each path ever had at the source: what may be seen at a target, and nothing else."""

    def __init__(self, root):
        self.root = os.fsencode(root)
        self.allowed = {}        # relative path -> set of SHA-256
        self.seen = {}           # (path, inode, size, mtime, ctime) already checked
        self.checks = 0
        self.learn()

    @staticmethod
    def digest(path):
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").digest()

    def learn(self):
        """Everything that is at the source now."""
        for name in walk(self.root):
            path = os.path.join(self.root, name)
            if os.path.isfile(path) and not os.path.islink(path):
                self.learn_from(path, name)

    def learn_from(self, path, name):
        """The content of `path` becomes an allowed version of `name`. Call it before the source shows that version."""
        self.allowed.setdefault(os.fsencode(name), set()).add(self.digest(path))

    def wrong_files(self, replica):
        """What is visible at the target and was never a whole version of the source: a list of texts, hopefully empty."""
        replica = os.fsencode(replica)
        wrong = []
        try:
            found = walk(replica)
        except FileNotFoundError:       # a directory that went while we walked: the next poll sees the rest
            return wrong
        for name, status in found.items():
            path = os.path.join(replica, name)
            key = (name, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            if key in self.seen or not os.path.isfile(path) or os.path.islink(path):
                continue
            if name not in self.allowed:
                wrong.append(f"{printable(name)} never existed at the source")
                continue
            try:
                good = self.digest(path) in self.allowed[name]
            except FileNotFoundError:
                continue
            self.checks += 1
            if good:
                self.seen[key] = True
            else:
                wrong.append(f"{printable(name)} with {status.st_size} bytes is no version that the source ever had")
        return wrong

    def visible_bytes(self, replica):
        try:
            return sum(s.st_size for n, s in walk(os.fsencode(replica)).items() if n in self.allowed)
        except FileNotFoundError:
            return 0


class TwoSites(unittest.TestCase):
    """A test that has two sites. `self.world` is up after start_world(); everything is removed at the end."""

    world = None

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="longhaul-e2e-", dir="/var/tmp")
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.source = os.path.join(self.folder, "source")
        self.replicas = os.path.join(self.folder, "replicas")   # the root beneath which west allows replicas
        self.replica = os.path.join(self.replicas, "data")
        os.makedirs(self.source)
        os.makedirs(self.replica)

    def start_world(self, link=None, wrap=None, workers=None, second=None, read_back_share=1):
        options = Options(build=build_folder(), work=os.path.join(self.folder, "world"), link=link or Link(rtt_ms=20),
                          allowed_roots=(self.replicas,), log_level="debug", workers=workers or {},
                          read_back_share=read_back_share)
        self.world = TwoLinks(options, second) if second else World(options)
        self.world.wrap.update(wrap or {})
        self.addCleanup(self.world.stop)
        self.world.start()
        return self.world

    def make_source(self, size_mib=16, files=200, seed=1, odd=True):
        return make_tree(self.source, seed, size_mib * MIB, files, odd)

    def create_dataset(self, name="data", **more):
        return self.world.create_dataset(name, self.source, self.replica, **{"rescan_s": 1, **more})

    def wait_settled(self, name="data", seconds=60):
        """Until a watermark proves that everything known is published."""
        wait_for(lambda: settled(self.world.rpo(name)), seconds, f"dataset {name} to be proven", every=0.2,
                 alive=self.world.processes.values())
        return self.world.rpo(name)

    def assert_equal_trees(self, source=None, replica=None):
        result = compare_trees(source or self.source, replica or self.replica)
        self.assertTrue(result.equal, "\n".join(["the replica is not its source:", *result.differences]))
        return result

    def wait_equal(self, seconds=60, source=None, replica=None):
        """Until the replica is its source. Cheap metadata first; content only when that agrees."""
        last = []

        def equal():
            for content in (False, True):
                try:
                    result = compare_trees(source or self.source, replica or self.replica, content=content)
                except OSError as error:    # something went while we walked
                    last[:] = [str(error)]
                    return False
                last[:] = result.differences
                if not result.equal:
                    return False
            return True

        try:
            wait_for(equal, seconds, "the replica to be its source", every=0.3, alive=self.world.processes.values())
        except Failed as error:
            self.fail("\n".join([str(error), *last]))

    def payload_counted(self, expected):
        """payload_sent(), once what is known to have been sent is in it: a view of a link may be older than the replica."""
        wait_for(lambda: self.payload_sent() >= expected, 30, f"{expected} bytes to be counted as sent")
        return self.payload_sent()

    def payload_sent(self):
        """Bytes of bundles, heads included, that east has put on the link."""
        return self.world.link("east")["measured"]["tx_payload_bytes"]

    def failures(self, name="data"):
        """The objects that do not arrive, by path."""
        answer = self.world.rest("east", "GET", f"/v1/datasets/{name}/failures")
        self.assertEqual(answer.status, 200, answer)
        return {failure["path"]: failure for failure in listed(answer.json, "failures")}

    def wait_failure(self, path, reason, name="data", seconds=40):
        """Until the API names `path` as failing for `reason`, with a remedy; returns it."""
        wait_for(lambda: self.failures(name).get(path, {}).get("reason") == reason, seconds,
                 f"{path} to be listed as failing with {reason}", every=0.3, alive=self.world.processes.values())
        failure = self.failures(name)[path]
        self.assertTrue(failure.get("remedy"), "a failure says what to change")
        return failure

    def assert_problem(self, answer, status):
        """An RFC 9457 problem that says what is wrong."""
        self.assertEqual(answer.status, status, answer)
        kind = {name.lower(): value for name, value in answer.headers.items()}.get("content-type", "")
        self.assertTrue(kind.startswith("application/problem+json"), kind)
        self.assertEqual(answer.json.get("status"), status)
        for field in ("title", "detail"):
            self.assertTrue(answer.json.get(field), f"problem without {field}: {answer}")


def can_mount():
    """True when a tmpfs can be mounted here, as the full-disk tests do."""
    if os.geteuid() != 0:
        return False
    folder = tempfile.mkdtemp(prefix="longhaul-e2e-")
    try:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "longhaul-e2e", folder], capture_output=True)
        if done.returncode == 0:
            subprocess.run(["umount", folder], check=True)
        return done.returncode == 0
    finally:
        os.rmdir(folder)
