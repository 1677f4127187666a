// A short history of changes in bundles, and what a target may look like while it is applied: each path holds one of the
// versions between the last that was said to be durable and the last that was offered, whole, and there is nothing else.
// What becomes a directory, or was one, may be absent in between.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "dataplane/wire/manifest.h"
#include "tests/sim/storage/simulated_disk.h"

namespace longhaul::storage::sim {

struct Bundle {
    wire::Manifest manifest;
    std::string payload;
    wire::Trailer trailer;
};

struct Version {  // of a path
    enum class Kind : std::uint8_t { absent, file, directory, symlink };
    Kind kind = Kind::absent;
    std::string bytes;
    std::uint32_t mode = 0;
    std::int64_t mtime_ns = 0;
};

class BundleMaker {
  public:
    explicit BundleMaker(std::uint64_t number);
    BundleMaker& file(const std::string& path, std::string content);
    BundleMaker& range(const wire::ObjectKey& object, const std::string& whole, std::uint64_t offset,
                       std::uint64_t bytes);
    BundleMaker& assemble(const std::string& path, const wire::ObjectKey& object, const std::string& whole);
    BundleMaker& directory(const std::string& path);
    BundleMaker& symlink(const std::string& path, const std::string& text);
    BundleMaker& remove(const std::string& path);
    BundleMaker& metadata(const std::string& path, std::uint32_t mode);
    BundleMaker& mark(std::int64_t watermark_ns);
    Bundle take();

  private:
    wire::Entry& add(wire::EntryKind kind, const std::string& path);
    void add_payload(wire::Entry& entry, std::string_view bytes);
    Bundle bundle_;
};

// Bundles of one wave travel together; a wave begins when the one before it has ended.
using History = std::vector<std::vector<Bundle>>;
History make_history();
std::string content_of(const std::string& name, std::size_t bytes);

class Expectation {
  public:
    explicit Expectation(bool attributes_are_durable) : attributes_are_durable_(attributes_are_durable) {}
    void offered(const Bundle& bundle);
    void durable(const Bundle& bundle, const wire::BundleStatus& status);
    // Empty when the image is one that the promises allow, else what is wrong.
    std::string check(const Image& image) const;
    // What shows is a prefix of what was offered, entry by entry.
    std::string check_order(const Image& image) const;
    std::string check_complete(const Image& image) const;  // every last version is there

  private:
    struct Fate {
        std::vector<Version> versions{{}};  // absent first
        std::size_t durable = 0;            // at least this one
    };
    struct Range {
        wire::ObjectKey object;
        std::uint64_t offset;
        std::string bytes;
    };
    bool holds(const Inode* found, const Version& version, bool attributes) const;
    static bool may_be_absent(const Fate& fate);
    bool has_offered_below(const std::string& path) const;
    std::string check_ranges(const Image& image) const;
    std::string check_names(const Image& image, const Inode& directory, const std::string& below) const;

    struct Step {
        std::string path;
        std::size_t version;  // in the path's fate
    };

    const bool attributes_are_durable_;
    std::vector<Step> steps_;  // as offered
    std::map<wire::BundleId, std::map<std::size_t, std::size_t>>
        version_of_;  // bundle, entry: in its path's fate
    std::map<std::string, Fate> fates_;
    std::map<wire::ObjectKey, std::string> object_paths_;
    std::vector<Range> ranges_;
};

}  // namespace longhaul::storage::sim
