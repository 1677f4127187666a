# One writer whose changes have numbers, and what a reader of the replica of an `ordered` dataset must see of them.
# SPDX-License-Identifier: Apache-2.0
import os
import random
import threading
import time

PAUSE_S = 0.04   # longer than the coarsest tick of the kernel's clock: the order of ctimes is the order of the numbers
FILES, DIRECTORIES = 25, 3


class OrderedWriter(threading.Thread):
    """Creates, replaces, renames and removes files, and renames directories; every content is the number of the change that
    wrote it. `history` has, for every path, the changes that made it what it was: (number, content or None for absent, the
    number that it gives away). What moves with its directory keeps its age: something that is made in the directory afterwards
    hides the rename (control/publish/README.md), so it gives away no more than before."""

    def __init__(self, root, seed):
        super().__init__(daemon=True)
        self.root, self.dice = root, random.Random(seed)
        self.lock, self.done = threading.Lock(), threading.Event()
        self.history, self.number, self.names = {}, 0, 0
        self.now, self.directories = {}, [""]   # path -> (content, what it gives away); standing directories

    def run(self):
        while not self.done.is_set():
            with self.lock:
                self.number += 1
                self.change()
            self.done.wait(PAUSE_S)

    def at(self, path):
        return os.path.join(self.root, path)

    def note(self, path, content, tells=None):
        tells = tells or self.number
        self.history.setdefault(path, []).append((self.number, content, tells))
        if content is None:
            del self.now[path]
        else:
            self.now[path] = (content, tells)

    def fresh(self, kind):
        self.names += 1
        return f"{kind}{self.names}"

    def change(self):
        kind = self.dice.random()
        if kind < 0.04:
            return self.change_directory()
        if kind < 0.5 or not self.now:
            old = [path for path in self.now] if len(self.now) > FILES or self.dice.random() < 0.5 else []
            path = self.dice.choice(old) if old else os.path.join(self.dice.choice(self.directories), self.fresh("f"))
            with open(self.at(".new"), "w") as file:
                file.write(str(self.number))
            os.rename(self.at(".new"), self.at(path))
            return self.note(path, self.number)
        path = self.dice.choice(list(self.now))
        if kind < 0.75:
            to = os.path.join(self.dice.choice(self.directories), self.fresh("r"))
            os.rename(self.at(path), self.at(to))
            self.note(to, self.now[path][0])
        else:
            os.remove(self.at(path))
        self.note(path, None)

    def change_directory(self):
        movable = [path for path in self.directories if path]
        if len(movable) < DIRECTORIES:
            path = self.fresh("d")
            os.mkdir(self.at(path))
            self.directories.append(path)
            return
        path, to = self.dice.choice(movable), self.fresh("d")
        os.rename(self.at(path), self.at(to))
        self.directories[self.directories.index(path)] = to
        for name in [name for name in self.now if name.startswith(path + "/")]:
            self.note(to + name[len(path):], *self.now[name])
            self.note(name, None)


class OrderedReader:
    """Looks at the replica again and again; `look` returns what contradicts the writer's history, or nothing."""

    def __init__(self, root, writer):
        self.root, self.writer = root, writer
        self.shown = {}   # path -> index into its history of what was seen last
        self.newest = 0   # the number of the newest change that has given itself away

    def scan(self):
        found = {}
        for folder, _, names in os.walk(self.root):
            for name in names:
                path = os.path.relpath(os.path.join(folder, name), self.root)
                if name == ".new" or path.startswith(".longhaul"):
                    continue
                try:
                    with open(os.path.join(folder, name)) as file:
                        found[path] = int(file.read())
                except FileNotFoundError:
                    pass   # replaced by its removal while we walked
        return found

    def look(self):
        """What the first scan has seen must be complete in the second: in between the replica only moves on."""
        wrong = self.learn(self.scan())
        newest = self.newest
        held = self.scan()
        with self.writer.lock:
            histories = {path: list(changes) for path, changes in self.writer.history.items()}
        for path, changes in histories.items():
            number, content, _ = changes[-1]
            if number < newest and content is not None and held.get(path) != content:
                wrong.append(f"change {newest} shows, {path} of change {number} ({content}) does not: {held.get(path)}")
        return wrong + self.learn(held)

    def learn(self, found):
        wrong = []
        with self.writer.lock:
            for path in found:
                if path not in self.writer.history:
                    wrong.append(f"{path} shows and never was")
            for path, changes in self.writer.history.items():
                last = self.shown.get(path)
                index = 0 if last is None else last
                if path not in found and (last is None or changes[last][1] is None):
                    continue   # not yet, or not any more
                while index < len(changes) and changes[index][1] != found.get(path):
                    index += 1
                if index == len(changes):
                    wrong.append(f"{path} shows {found.get(path)}, after {changes[last] if last is not None else None}; "
                                 f"the source had {changes}")
                    continue
                self.shown[path] = index
                self.newest = max(self.newest, changes[index][2])
        return wrong
