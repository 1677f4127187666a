# What is wrong from outside is refused in words or counted; the rest still arrives, and nothing outside is touched.
# SPDX-License-Identifier: Apache-2.0
import os
import random
import socket
import subprocess
import unittest

from harness import MIB, Failed, TwoSites, can_mount, wait_for, write

# As root but without the power to ignore permission bits: how a service should run, and how "unreadable" can be tested.
NO_OVERRIDE = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]


class BadRequests(TwoSites):
    """What the REST port refuses; one world serves all."""

    def dataset_body(self, **changes):
        body = {"name": "data", "source": f"posix:{self.source}",
                "target": {"site": "west", "store": f"posix:{self.replica}"}, "rescan_s": 1}
        body.update(changes)
        return body

    def post(self, **changes):
        return self.world.rest("east", "POST", "/v1/datasets", self.dataset_body(**changes), timeout=30)

    def test_requests_that_are_refused(self):
        # Proves that every refusal is a problem document with the right status, and that none of them made anything.
        self.start_world()
        outside = os.path.join(self.folder, "outside")
        to_west = {"site": "west", "store": f"posix:{self.replica}"}
        for name, raw in (("truncated", b'{"name": "data", '), ("not JSON", b"\xff\xfe\0"), ("no object", b"[]"), ("empty", b"")):
            with self.subTest(malformed=name):
                self.assert_problem(self.world.rest("east", "POST", "/v1/datasets", raw=raw), 400)
        for token in ("wrong", "", "x" * 5000):
            with self.subTest(token=token[:10]):
                self.assert_problem(self.world.rest("east", "GET", "/v1/datasets", token=token), 401)
        for path in ("/v1/datasets/unknown", "/v1/datasets/unknown/failures", "/v1/nothing-of-the-kind"):
            with self.subTest(unknown=path):
                self.assert_problem(self.world.rest("east", "GET", path), 404)
        refused = {
            "target outside the allowed roots": dict(target={"site": "west", "store": f"posix:{outside}"}),
            "target that climbs out": dict(target={"site": "west", "store": f"posix:{self.replicas}/../outside"}),
            "unknown site": dict(target={"site": "nowhere", "store": f"posix:{self.replica}"}),
            "source that does not exist": dict(source=f"posix:{self.folder}/no-such-directory"),
            "source that is not absolute": dict(source="posix:relative"),
            "unknown kind of store": dict(source="ftp://host/x"),
            "name with capitals": dict(name="Data"),
            "empty name": dict(name=""),
            "unknown mode": dict(mode="both-ways"),
            "consistency that does not exist yet": dict(consistency="group"),
            "text for a number": dict(rescan_s="soon"),
            "negative period": dict(rescan_s=-1),
            "no target": dict(target=None),
            "unknown field": dict(rpo_traget_s=5, target=to_west),
        }
        for name, changes in refused.items():
            with self.subTest(name):
                answer = self.post(**changes)
                self.assertIn(answer.status, (400, 403, 404, 409, 422), answer)
                self.assert_problem(answer, answer.status)
        self.assertFalse(os.path.exists(outside), "nothing outside the allowed roots is made")
        self.assertEqual(os.listdir(self.replica), [])
        self.assertEqual(self.world.cli("east", "rpo", "--json").returncode, 0, "and it still serves")
        self.oversized_bodies_and_garbage()

    def oversized_bodies_and_garbage(self):
        def send(raw):
            with socket.create_connection(("127.0.0.1", self.world.rest_port["east"]), timeout=10) as connection:
                connection.sendall(raw)
                try:
                    return connection.recv(65536)
                except ConnectionResetError:
                    return b""

        head = (b"POST /v1/datasets HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                b"Authorization: Bearer " + self.world.token("east").encode() + b"\r\n")
        with self.subTest("a body that claims a gigabyte"):
            self.assertIn(b" 413 ", send(head + b"Content-Length: 1073741824\r\n\r\n{").split(b"\r\n")[0])
        with self.subTest("no HTTP at all"):
            self.assertNotIn(b" 200 ", send(random.Random(1).randbytes(1000) + b"\r\n\r\n"))
        with self.subTest("the peers' port without a certificate"):
            with self.assertRaises((OSError, Failed)):
                with socket.create_connection(("127.0.0.1", self.world.peer_port["west"]), timeout=10) as connection:
                    connection.sendall(b"GET /v1/datasets HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    if b"HTTP/1.1 200" not in connection.recv(4096):
                        raise OSError("refused, as it must be")
        self.assertTrue(self.world.healthy("east") and self.world.healthy("west"))


class BadTrees(TwoSites):
    """Objects that cannot be read or written: named with their reason until they succeed. Under `object` they are in nobody's
    way, under `ordered` nothing passes them."""

    def unreadable(self, consistency, meanwhile):
        self.start_world(wrap={"east-dataplane": NO_OVERRIDE})
        write(os.path.join(self.source, "before"), b"for everybody")
        bad = os.path.join(os.fsencode(self.source), b"secret-\xff")
        write(bad, b"not for everybody", mode=0o000)
        write(os.path.join(self.source, "then open"), b"for everybody")    # later by its time, or else by its name
        self.create_dataset(consistency=consistency)
        self.wait_failure("secret-\\xff", "source_permission")
        self.assertGreaterEqual(self.world.rpo("data")["objects_failing"], 1)
        meanwhile()
        os.chmod(bad, 0o600)
        self.wait_equal(40)
        wait_for(lambda: self.failures() == {}, 20, "the failure to be taken back")

    def at_target(self, name):
        return os.path.exists(os.path.join(self.replica, name))

    def test_unreadable_source_file(self):
        # Proves that a file that may not be read is named (with its odd name) and that the others arrive; and that it
        # follows by itself once it may be read.
        self.unreadable("object", lambda: wait_for(lambda: self.at_target("then open"), 30, "the readable file at the target"))

    def test_nothing_passes_an_unreadable_file_in_order(self):
        # Proves that under `ordered` such a file holds back what came after it, and that all of it follows once it is readable.
        def meanwhile():
            tries = self.failures()["secret-\\xff"]["tries"]
            wait_for(lambda: self.failures().get("secret-\\xff", {}).get("tries", 0) > tries, 30, "it to be tried once more")
            self.assertEqual((self.at_target("before"), self.at_target("then open")), (True, False))
        self.unreadable("ordered", meanwhile)

    def test_source_that_changes_under_the_reader(self):
        # Proves that files that vanish, grow and are replaced while they are read harm nobody else, and that calm brings
        # convergence.
        self.start_world()
        self.make_source(size_mib=16, files=100)
        self.create_dataset()
        rng = random.Random(5)
        path = os.path.join(self.source, "restless")

        def churn():
            for index in range(20):
                name = f"{path}-{rng.randrange(30)}"
                if rng.random() < 0.4 and os.path.exists(name):
                    os.unlink(name)
                else:
                    with open(name, "ab" if rng.random() < 0.5 else "wb") as file:
                        file.write(rng.randbytes(rng.randrange(200_000)))
            return (self.world.rest("east", "GET", "/v1/datasets/data").json or {}).get("sweeps", 0) >= 6

        wait_for(churn, 60, "six sweeps of a restless source", every=0.02, alive=self.world.processes.values())
        self.wait_equal(60)
        self.wait_settled()

    def test_symlink_in_the_way_at_the_target(self):
        # Proves that a link at the target is never followed out of the store: nothing outside is touched.
        outside = os.path.join(self.folder, "outside")
        write(os.path.join(outside, "victim"), b"untouched")
        os.symlink(outside, os.path.join(self.replica, "sub"))
        self.start_world()
        write(os.path.join(self.source, "sub", "victim"), b"replaced")
        write(os.path.join(self.source, "sub", "planted"), b"planted")
        write(os.path.join(self.source, "plain"), b"plain")
        self.create_dataset()
        wait_for(lambda: os.path.exists(os.path.join(self.replica, "plain")), 30, "the plain file at the target")
        wait_for(lambda: self.failures() or not os.path.islink(os.path.join(self.replica, "sub")), 30,
                 "the link to be reported or replaced")
        self.assertEqual(os.listdir(outside), ["victim"])
        with open(os.path.join(outside, "victim"), "rb") as file:
            self.assertEqual(file.read(), b"untouched")
        if os.path.islink(os.path.join(self.replica, "sub")):
            os.unlink(os.path.join(self.replica, "sub"))
        self.wait_equal(40)

    def test_directory_in_the_way_at_the_target(self):
        # Proves that a full directory where a file belongs is not deleted on anybody's behalf, but named.
        write(os.path.join(self.replica, "name", "somebody-elses"), b"precious")
        self.start_world()
        write(os.path.join(self.source, "name"), b"a file")
        write(os.path.join(self.source, "other"), b"other")
        self.create_dataset(mode="copy", consistency="object")
        self.wait_failure("name", "target_occupied")
        self.assertTrue(os.path.exists(os.path.join(self.replica, "name", "somebody-elses")))
        wait_for(lambda: os.path.exists(os.path.join(self.replica, "other")), 30, "the other file at the target")


@unittest.skipUnless(can_mount(), "needs root and permission to mount a tmpfs, to fill a disk and to make it read-only")
class BadDisks(TwoSites):
    def mount(self, size):
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "longhaul-e2e", self.replica], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", self.replica], check=True)

    def remount(self, how):
        subprocess.run(["mount", "-o", f"remount,{how}", self.replica], check=True)

    def test_full_disk(self):
        # Proves that what fits arrives, that what does not is named, that what was there stays, and that room heals it.
        self.mount("24m")
        self.start_world()
        write(os.path.join(self.source, "small-1"), random.Random(1).randbytes(2 * MIB))
        self.create_dataset()
        self.wait_equal(30)
        write(os.path.join(self.source, "small-2"), random.Random(3).randbytes(2 * MIB))
        write(os.path.join(self.source, "too-large"), random.Random(2).randbytes(48 * MIB))
        self.wait_failure("too-large", "target_no_space")
        wait_for(lambda: os.path.exists(os.path.join(self.replica, "small-2")), 40, "the small file at the target")
        with open(os.path.join(self.replica, "small-1"), "rb") as file:
            self.assertEqual(file.read(), random.Random(1).randbytes(2 * MIB))
        self.remount("size=128m")
        self.wait_equal(60)
        wait_for(lambda: self.failures() == {}, 20, "the failure to be taken back")

    def test_read_only_target(self):
        # Proves that a target that turns read-only is reported by that name, and that the rest follows when it turns back.
        self.mount("64m")
        self.start_world()
        write(os.path.join(self.source, "before"), b"before")
        self.create_dataset()
        self.wait_equal(30)
        self.remount("ro")
        write(os.path.join(self.source, "after"), b"after")
        self.wait_failure("after", "target_read_only")
        self.remount("rw")
        self.wait_equal(40)


if __name__ == "__main__":
    unittest.main()
