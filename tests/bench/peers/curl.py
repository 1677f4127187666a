# curl, one HTTP stream.
# SPDX-License-Identifier: Apache-2.0
import os

from peers import Peer, nginx


class Curl(Peer):
    name = "curl"
    packages = ("curl", "nginx-light")

    def servers(self, lab, job):
        return [nginx.server(lab, os.path.dirname(job.source))]

    def client(self, lab, job):
        return lab.process("west", "curl", "-sSf", "-o", job.target, nginx.URL + os.path.basename(job.source))
