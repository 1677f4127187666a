# rclone pulling by HTTP with eight ranges at once.
# SPDX-License-Identifier: Apache-2.0
import os

from peers import Peer, nginx


class Rclone(Peer):
    name = "rclone"
    packages = ("rclone", "nginx-light")

    def servers(self, lab, job):
        return [nginx.server(lab, os.path.dirname(job.source))]

    def client(self, lab, job):
        return lab.process("west", "rclone", "copyto", "--config", "/dev/null", "--multi-thread-streams", 8,
                           "--multi-thread-cutoff", "1M", "--local-no-preallocate", "--http-url", nginx.URL, "--retries", 1,
                           f":http:{os.path.basename(job.source)}", job.target)
