// A model of a source tree whose objects are stamped by a coarse clock, and everything that was ever true of it.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "control/capture/difference.h"
#include "control/capture/tree.h"
#include "control/dataset/pending.h"
#include "dataplane/base/random.h"

namespace longhaul::control::test {

inline constexpr WallNs kTick = 10'000'000;  // of the clock that stamps files

struct Past {  // of one path, from `time` on
    WallNs time = 0;
    std::int64_t version = 0;  // 0: absent. Of a file its mtime; of a directory 1
    WallNs tells =
        0;  // what is seen of it tells of a change of this time: less than `time` where a rename of
            // a directory above may be hidden by what was made in it afterwards
};

class OrderedSource {
  public:
    OrderedSource(Random& random, const WallNs& clock) : random_(random), clock_(clock) {}

    struct Node {
        bool directory = false;
        std::int64_t version = 0, ctime = 0;
        std::uint64_t inode = 0;
        std::int64_t born = 0;
    };
    std::string any_name() {
        static const char* kDirectories[] = {"", "", "d/", "e/", "d/sub/"};
        return kDirectories[random_.below(5)] + std::string(1, static_cast<char>('p' + random_.below(6)));
    }
    bool directory_stands(std::string_view path) const {
        if (path.empty()) return true;
        const auto found = tree.find(std::string(path));
        return found != tree.end() && found->second.directory;
    }
    void note(const std::string& path, bool moved = false) {
        const auto found = tree.find(path);
        const std::int64_t version = found == tree.end()       ? 0
                                     : found->second.directory ? 1
                                                               : found->second.version;
        auto& past = history[path];
        if (past.empty()) past.push_back({0, 0});
        WallNs tells = stamp();
        if (moved && version != 0) tells = found->second.directory ? 0 : found->second.ctime;
        past.push_back({stamp(), version, tells});
    }
    WallNs stamp() const { return clock_ / kTick * kTick; }
    void touch_parent(const std::string& path) {
        const auto parent = tree.find(std::string(parent_of(path)));
        if (parent != tree.end()) parent->second.ctime = parent->second.version = stamp();
    }

    void change() {
        const auto dice = random_.below(10);
        if (dice < 2) return change_directory();
        const std::string path = any_name();
        if (!directory_stands(parent_of(path))) return;
        const auto found = tree.find(path);
        if (dice < 6) {
            Node& node = tree[path];
            if (node.inode == 0 || random_.chance(0.5))
                node.inode = ++inodes_;  // renamed into place, or rewritten
            node.version = clock_;
            node.ctime = stamp();
        } else if (found == tree.end()) {
            return;
        } else if (dice < 8) {
            tree.erase(found);
        } else {
            const std::string to = any_name();
            if (to == path || !directory_stands(parent_of(to))) return;
            Node node = found->second;
            node.ctime = stamp();
            tree.erase(found);
            tree[to] = node;
            note(to);
            touch_parent(to);
        }
        note(path);
        touch_parent(path);
    }

    void change_directory() {
        static const char* kNames[] = {"d", "e", "d/sub"};
        const std::string path = kNames[random_.below(3)];
        const auto found = tree.find(path);
        if (found == tree.end()) {
            if (!directory_stands(parent_of(path))) return;
            tree[path] = {true, stamp(), stamp(), ++inodes_, stamp()};
            note(path);
            touch_parent(path);
            return;
        }
        const std::string below = path + "/";
        const auto child = tree.lower_bound(below);
        const bool empty = child == tree.end() || !child->first.starts_with(below);
        const std::string to = path == "d" ? "e" : "d";
        if (empty) {
            tree.erase(found);
            note(path);
            touch_parent(path);
        } else if (path != "d/sub" && !tree.contains(to)) {  // with all that is in it, whose ctimes stay
            std::vector<std::pair<std::string, Node>> moved;
            for (auto next = tree.find(path); next != tree.end();) {
                if (next->first != path && !next->first.starts_with(below)) {
                    ++next;
                    continue;
                }
                moved.emplace_back(next->first, next->second);
                next = tree.erase(next);
            }
            for (auto& [name, node] : moved) {
                if (name == path) node.ctime = stamp();
                tree[to + name.substr(path.size())] = node;
            }
            for (const auto& [name, node] : moved) {
                note(name);
                note(to + name.substr(path.size()), true);
            }
        }
    }

    Observed observed(const Node& node) const {
        Observed seen;
        seen.print.kind = node.directory ? ObjectKind::directory : ObjectKind::file;
        seen.print.size = node.directory ? 0 : 100;
        seen.print.mtime_ns = node.version;
        seen.print.ctime_ns = node.ctime;
        seen.print.inode = node.inode;
        seen.print.mode = node.directory ? 0755 : 0644;
        seen.born_ns = node.born;
        seen.racy = !node.directory && clock_ - node.ctime < kRacyNs;
        return seen;
    }

    std::map<std::string, Node> tree;
    std::map<std::string, std::vector<Past>> history;

  private:
    Random& random_;
    const WallNs& clock_;
    std::uint64_t inodes_ = 0;
};

}  // namespace longhaul::control::test
