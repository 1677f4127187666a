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
        static const char* kDirectories[] = {"", "", "d/", "e/", "d/sub/", "p/"};
        return kDirectories[random_.below(6)] + std::string(1, static_cast<char>('p' + random_.below(6)));
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
        if (found != tree.end() && found->second.directory) return;
        if (dice < 6) {
            if (found == tree.end() || random_.chance(0.5)) {  // made, or renamed into place from elsewhere
                lose_name(path);
                tree[path] = {false, clock_, stamp(), ++inodes_, 0};
            } else {
                return rewrite(found->second.inode);
            }
        } else if (found == tree.end()) {
            return;
        } else if (dice < 7) {
            lose_name(path);
        } else {
            const std::string to = any_name();
            const auto replaced = tree.find(to);
            const bool stays = replaced != tree.end() &&
                               (replaced->second.inode == found->second.inode || replaced->second.directory);
            if (stays || !directory_stands(parent_of(to))) return;
            const Node node = found->second;
            lose_name(to);
            if (dice < 9) tree.erase(path);  // a rename; otherwise one more hard link
            tree[to] = node;
            stamp_names(node.inode);
            touch_parent(to);
            if (dice == 9) return;
        }
        note(path);
        touch_parent(path);
    }

    // What happens to one name of a file changes the file: all of its names are as new as that.
    void stamp_names(std::uint64_t inode) {
        for (auto& [name, node] : tree) {
            if (node.inode != inode) continue;
            node.ctime = stamp();
            note(name);
        }
    }
    void lose_name(const std::string& path) {
        const auto found = tree.find(path);
        if (found == tree.end()) return;
        const std::uint64_t inode = found->second.inode;
        tree.erase(found);
        stamp_names(inode);
    }
    void rewrite(std::uint64_t inode) {  // in place: under all of its names at once
        for (auto& [name, node] : tree)
            if (node.inode == inode) node.version = clock_;
        stamp_names(inode);
    }

    void change_directory() {
        static const char* kNames[] = {"d", "e", "d/sub", kOfAnyKind};
        const std::string path = kNames[random_.below(4)];
        const auto found = tree.find(path);
        if (path == kOfAnyKind) return change_kind();
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

    // A directory, a file, a directory: all that was beneath it is gone at once.
    void change_kind() {
        const std::string path = kOfAnyKind, below = path + "/";
        const bool was_file = tree.contains(path) && !tree.at(path).directory;
        std::vector<std::string> gone;
        for (const auto& [name, node] : tree)
            if (name == path || name.starts_with(below)) gone.push_back(name);
        for (const auto& name : gone)
            lose_name(name);
        if (was_file)
            tree[path] = {true, stamp(), stamp(), ++inodes_, stamp()};
        else
            tree[path] = {false, clock_, stamp(), ++inodes_, 0};
        for (const auto& name : gone)
            if (name != path) note(name);
        note(path);
        touch_parent(path);
    }
    // Whether what stands there comes late because another kind of object has to go first.
    static bool may_come_late(const std::string& path) {
        return path == kOfAnyKind || path.starts_with(std::string(kOfAnyKind) + "/");
    }

    Observed observed(const Node& node) const {
        Observed seen;
        seen.print.kind = node.directory ? ObjectKind::directory : ObjectKind::file;
        seen.print.size = node.directory ? 0 : 100;
        seen.print.mtime_ns = node.version;
        seen.print.ctime_ns = node.ctime;
        seen.print.inode = node.inode;
        seen.print.birth_ns = node.directory ? 0 : static_cast<std::int64_t>(node.inode);
        for (const auto& [name, other] : tree)
            seen.print.names += !node.directory && other.inode == node.inode ? 1 : 0;
        seen.print.mode = node.directory ? 0755 : 0644;
        seen.born_ns = node.born;
        seen.racy = !node.directory && clock_ - node.ctime < kRacyNs;
        return seen;
    }

    static constexpr const char* kOfAnyKind = "p";  // now a file, now a directory
    std::map<std::string, Node> tree;
    std::map<std::string, std::vector<Past>> history;

  private:
    Random& random_;
    const WallNs& clock_;
    std::uint64_t inodes_ = 0;
};

}  // namespace longhaul::control::test
