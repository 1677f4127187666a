# rsync pulling whole files from its daemon: no shell, no encryption, no delta.
# SPDX-License-Identifier: Apache-2.0
import os

from lab import ADDRESS
from peers import Peer

PORT = 8730


def daemon(lab, folder):
    configuration = os.path.join(lab.work, "rsyncd.conf")
    with open(configuration, "w") as file:
        file.write(f"use chroot = no\nuid = root\ngid = root\npid file = {lab.work}/rsyncd.pid\n"
                   f"[source]\npath = {folder}\nread only = yes\n")
    if os.path.exists(f"{lab.work}/rsyncd.pid"):
        os.unlink(f"{lab.work}/rsyncd.pid")
    return lab.process("east", "rsync", "--daemon", "--no-detach", "--config", configuration, "--port", PORT,
                       "--address", ADDRESS["east"]), PORT, "tcp"


URL = f"rsync://{ADDRESS['east']}:{PORT}/source/"


class Rsync(Peer):
    name = "rsync"
    packages = ("rsync",)

    def servers(self, lab, job):
        return [daemon(lab, os.path.dirname(job.source))]

    def client(self, lab, job):
        return lab.process("west", "rsync", "-W", "--inplace", URL + os.path.basename(job.source), job.target)
