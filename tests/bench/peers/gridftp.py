# GridFTP, eight TCP streams pushed by globus-url-copy. Its -udt is not used: it runs over TCP without a word.
# SPDX-License-Identifier: Apache-2.0
from lab import ADDRESS
from peers import Peer

PORT = 2811


class GridFtp(Peer):
    name = "gridftp"
    packages = ("globus-gridftp-server-progs", "globus-gass-copy-progs")
    needs_writable_target = True

    def servers(self, lab, job):
        return [(lab.process("west", "globus-gridftp-server", "-aa", "-anonymous-user", "nobody", "-home-dir", "/", "-p", PORT,
                             "-data-interface", ADDRESS["west"]), PORT, "tcp")]

    def client(self, lab, job):
        # Buffers are left to the kernel's tuning: a fixed -tcp-bs would switch it off.
        return lab.process("east", "globus-url-copy", "-fast", "-p", 8, "-bs", "4M", f"file://{job.source}",
                           f"ftp://{ADDRESS['west']}:{PORT}{job.target}")
