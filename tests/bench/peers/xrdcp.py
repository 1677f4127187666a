# XRootD's xrdcp, pushing over eight TCP streams.
# SPDX-License-Identifier: Apache-2.0
import os

from lab import ADDRESS
from peers import Peer

PORT = 1094


class Xrdcp(Peer):
    name = "xrdcp"
    packages = ("xrootd-server", "xrootd-client")
    needs_writable_target = True

    def servers(self, lab, job):
        folder = os.path.dirname(job.target)
        state = os.path.join(folder, "xrootd")
        os.makedirs(state, exist_ok=True)
        os.chmod(state, 0o777)
        configuration = os.path.join(state, "xrootd.cfg")
        with open(configuration, "w") as file:
            file.write(f"all.export {folder}\nall.adminpath {state}\nall.pidpath {state}\nxrd.port {PORT}\n"
                       "xrd.network nodnr norpipa\n")
        return [(lab.process("west", "xrootd", "-R", "nobody", "-n", "bench", "-l", os.path.join(state, "log"), "-c",
                             configuration), PORT, "tcp")]

    def client(self, lab, job):
        # The engine works over 150 ms at 1 Gbit/s only with more and larger chunks under way than its defaults.
        return lab.process("east", "xrdcp", "-f", "-s", "-S", 8, job.source, f"root://{ADDRESS['west']}:{PORT}/{job.target}",
                           environment={"XRD_CPCHUNKSIZE": str(8 << 20), "XRD_CPPARALLELCHUNKS": "16"})
