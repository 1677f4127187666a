// Composing the bundles, and judging a tree.
// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/storage/history.h"

#include <algorithm>

#include "drivers/storage/entry_crc.h"
#include "drivers/storage/store.h"

namespace longhaul::storage::sim {

using wire::EntryKind;
using wire::FailReason;

namespace {

constexpr std::int64_t kEpochNs = 1'600'000'000'000'000'000;

std::uint32_t crc_of(std::string_view bytes) {
    EntryCrc crc;
    crc.add(0, as_bytes(bytes));
    return crc.value();
}

}  // namespace

std::string content_of(const std::string& name, std::size_t bytes) {
    std::uint64_t seed = 0;
    for (const char letter : name)
        seed = seed * 131 + static_cast<unsigned char>(letter);
    Random random(seed);
    std::string content(bytes, '\0');
    for (char& byte : content)
        byte = static_cast<char>(1 + random.below(255));  // never what a hole reads as
    return content;
}

BundleMaker::BundleMaker(std::uint64_t number) {
    bundle_.manifest.id = {0x5109, number};
    bundle_.manifest.generation = 1;
    bundle_.manifest.store = 1;
    bundle_.trailer.id = bundle_.manifest.id;
    bundle_.trailer.generation = 1;
}

wire::Entry& BundleMaker::add(EntryKind kind, const std::string& path) {
    wire::Entry& entry = bundle_.manifest.entries.emplace_back();
    entry.kind = kind;
    entry.path = path;
    entry.mode = 0640;
    entry.mtime_ns = kEpochNs + static_cast<std::int64_t>(bundle_.manifest.id.low * 1000 +
                                                          bundle_.manifest.entries.size());
    bundle_.trailer.verdicts.emplace_back();
    return entry;
}

void BundleMaker::add_payload(wire::Entry& entry, std::string_view bytes) {
    if (bytes.size() >= wire::kDirectBytesMin)
        bundle_.payload.resize((bundle_.payload.size() + wire::kDirectAlignment - 1) /
                               wire::kDirectAlignment * wire::kDirectAlignment);
    entry.payload_offset = bundle_.payload.size();
    entry.size = bytes.size();
    bundle_.payload += bytes;
    bundle_.manifest.payload_bytes = bundle_.payload.size();
    bundle_.trailer.verdicts.back().crc32c = bytes.empty() ? 0 : crc_of(bytes);
}

BundleMaker& BundleMaker::file(const std::string& path, std::string content) {
    add_payload(add(EntryKind::file, path), content);
    return *this;
}
BundleMaker& BundleMaker::range(const wire::ObjectKey& object, const std::string& whole, std::uint64_t offset,
                                std::uint64_t bytes) {
    wire::Entry& entry = add(EntryKind::range, "");
    entry.object = object;
    entry.file_size = whole.size();
    entry.file_offset = offset;
    add_payload(entry, std::string_view(whole).substr(offset, bytes));
    return *this;
}
BundleMaker& BundleMaker::assemble(const std::string& path, const wire::ObjectKey& object,
                                   const std::string& whole) {
    wire::Entry& entry = add(EntryKind::assemble, path);
    entry.object = object;
    entry.size = entry.file_size = whole.size();
    return *this;
}
BundleMaker& BundleMaker::directory(const std::string& path) {
    add(EntryKind::directory, path).mode = 0750;
    return *this;
}
BundleMaker& BundleMaker::symlink(const std::string& path, const std::string& text) {
    add(EntryKind::symlink, path).target = text;
    return *this;
}
BundleMaker& BundleMaker::remove(const std::string& path) {
    add(EntryKind::remove, path);
    return *this;
}
BundleMaker& BundleMaker::metadata(const std::string& path, std::uint32_t mode) {
    add(EntryKind::metadata, path).mode = mode;
    return *this;
}
BundleMaker& BundleMaker::mark(std::int64_t watermark_ns) {
    add(EntryKind::mark, "").mtime_ns = watermark_ns;
    return *this;
}
Bundle BundleMaker::take() {
    LH_ASSERT(wire::write_manifest(bundle_.manifest).ok());
    return std::move(bundle_);
}

void Expectation::offered(const Bundle& bundle) {
    if (version_of_.contains(bundle.manifest.id)) return;  // again
    auto& versions = version_of_[bundle.manifest.id];
    for (std::size_t i = 0; i < bundle.manifest.entries.size(); ++i) {
        const wire::Entry& entry = bundle.manifest.entries[i];
        if (entry.kind == EntryKind::range || entry.kind == EntryKind::mark) continue;
        Fate& fate = fates_[entry.path];
        Version version = fate.versions.back();
        version.mode = entry.mode;
        version.mtime_ns = entry.mtime_ns;
        if (entry.kind == EntryKind::file) {
            version.kind = Version::Kind::file;
            version.bytes = bundle.payload.substr(entry.payload_offset, entry.size);
        } else if (entry.kind == EntryKind::assemble) {
            version.kind = Version::Kind::file;
            version.bytes = content_of(entry.path, entry.size);
            object_paths_[entry.object] = entry.path;
        } else if (entry.kind == EntryKind::directory) {
            version.kind = Version::Kind::directory;
        } else if (entry.kind == EntryKind::symlink) {
            version.kind = Version::Kind::symlink;
            version.bytes = entry.target;
        } else if (entry.kind == EntryKind::remove) {
            version = {};
        }
        versions[i] = fate.versions.size();
        steps_.push_back({entry.path, fate.versions.size()});
        fate.versions.push_back(std::move(version));
    }
}

void Expectation::durable(const Bundle& bundle, const wire::BundleStatus& status) {
    if (status.stage == wire::Stage::failed) return;
    for (std::size_t i = 0; i < bundle.manifest.entries.size(); ++i) {
        const bool failed =
            std::any_of(status.failures.begin(), status.failures.end(),
                        [&](const wire::EntryFailure& failure) { return failure.entry == i; });
        if (failed) continue;
        const wire::Entry& entry = bundle.manifest.entries[i];
        if (entry.kind == EntryKind::range)
            ranges_.push_back(
                {entry.object, entry.file_offset, bundle.payload.substr(entry.payload_offset, entry.size)});
        else if (entry.kind != EntryKind::mark)
            fates_[entry.path].durable =
                std::max(fates_[entry.path].durable, version_of_.at(bundle.manifest.id).at(i));
    }
}

bool Expectation::holds(const Inode* found, const Version& version, bool attributes) const {
    if (found == nullptr) return version.kind == Version::Kind::absent;
    if (version.kind == Version::Kind::directory)
        return found->kind == Inode::Kind::directory &&
               (!attributes || found->attributes.mode == version.mode);
    const Inode::Kind kind =
        version.kind == Version::Kind::symlink ? Inode::Kind::symlink : Inode::Kind::file;
    if (version.kind == Version::Kind::absent || found->kind != kind || found->bytes != version.bytes)
        return false;
    return !attributes || (found->attributes.mtime_ns == version.mtime_ns &&
                           (kind == Inode::Kind::symlink || found->attributes.mode == version.mode));
}

bool Expectation::has_offered_below(const std::string& path) const {
    const auto below = fates_.lower_bound(path + "/");
    return below != fates_.end() && below->first.starts_with(path + "/");
}

bool Expectation::may_be_absent(const Fate& fate) {
    const auto is_directory = [](const Version& version) { return version.kind == Version::Kind::directory; };
    const auto from = fate.versions.begin() + static_cast<std::ptrdiff_t>(fate.durable);
    return fate.versions.end() - from > 1 && std::any_of(from, fate.versions.end(), is_directory) &&
           !std::all_of(from, fate.versions.end(), is_directory);
}

std::string Expectation::check(const Image& image) const {
    for (const auto& [path, fate] : fates_) {
        const Inode* found = find(image, path);
        bool allowed = false;
        // A version that was said to be durable has its attributes; of one that was not, only its content must be whole.
        for (std::size_t i = fate.durable; i < fate.versions.size() && !allowed; ++i)
            allowed = holds(found, fate.versions[i], i == fate.durable && i > 0 && attributes_are_durable_);
        // Until its own entry is applied, a directory may be there because something below it is.
        if (!allowed && found != nullptr && found->kind == Inode::Kind::directory && fate.durable == 0)
            allowed = has_offered_below(path);
        if (!allowed && found == nullptr) allowed = may_be_absent(fate);
        if (!allowed) {
            std::string text = path + ": ";
            if (found == nullptr)
                text += "absent";
            else
                text += "kind " + std::to_string(int(found->kind)) + ", " +
                        std::to_string(found->bytes.size()) + " bytes, mode " +
                        std::to_string(found->attributes.mode) + ", mtime " +
                        std::to_string(found->attributes.mtime_ns);
            return text + ", though version " + std::to_string(fate.durable) + " of " +
                   std::to_string(fate.versions.size() - 1) + " was said to be durable";
        }
    }
    if (std::string wrong = check_ranges(image); !wrong.empty()) return wrong;
    return check_names(image, image.at(kRootInode), "");
}

std::string Expectation::check_order(const Image& image) const {
    const Step* missing = nullptr;
    for (const Step& step : steps_) {
        const Fate& fate = fates_.at(step.path);
        const Inode* found = find(image, step.path);
        const auto is_one_of = [&](std::size_t from, std::size_t to) {
            for (std::size_t i = from; i < to; ++i)
                if (holds(found, fate.versions[i], false)) return true;
            return false;
        };
        const bool reached = is_one_of(step.version, fate.versions.size());
        const bool on_its_way = found == nullptr && may_be_absent(fate);
        const bool implied =
            found != nullptr && found->kind == Inode::Kind::directory && has_offered_below(step.path);
        if (!reached && !on_its_way && missing == nullptr) missing = &step;
        if (missing != nullptr && !implied && !on_its_way && !is_one_of(0, step.version))
            return step.path + " shows its version " + std::to_string(step.version) + ", but " +
                   missing->path + " does not show its version " + std::to_string(missing->version) +
                   " from before it";
    }
    return {};
}

std::string Expectation::check_ranges(const Image& image) const {
    for (const Range& range : ranges_) {
        if (const auto assembled = object_paths_.find(range.object); assembled != object_paths_.end()) {
            const Fate& fate = fates_.at(assembled->second);
            if (fate.durable > 0 || find(image, assembled->second) != nullptr)
                continue;  // judged by its path
        }
        const Inode* staged = find(image, ".longhaul/staging/" + object_staging_name(range.object));
        if (staged == nullptr || staged->bytes.size() < range.offset + range.bytes.size() ||
            staged->bytes.compare(range.offset, range.bytes.size(), range.bytes) != 0)
            return "the durable range at " + std::to_string(range.offset) + " of object " +
                   wire::to_string(range.object) + " is not there";
    }
    return {};
}

std::string Expectation::check_names(const Image& image, const Inode& directory,
                                     const std::string& below) const {
    for (const auto& [name, number] : directory.names) {
        if (below.empty() && name == ".longhaul") continue;
        const std::string path = below.empty() ? name : below + "/" + name;
        const Inode& inode = image.at(number);
        const bool known =
            fates_.contains(path) || (inode.kind == Inode::Kind::directory && has_offered_below(path));
        if (!known) return path + ": nobody put it there";
        if (inode.kind != Inode::Kind::directory) continue;
        if (std::string wrong = check_names(image, inode, path); !wrong.empty()) return wrong;
    }
    return {};
}

std::string Expectation::check_complete(const Image& image) const {
    for (const auto& [path, fate] : fates_)
        if (!holds(find(image, path), fate.versions.back(), attributes_are_durable_))
            return path + ": not its last version";
    return check_names(image, image.at(kRootInode), "");
}

}  // namespace longhaul::storage::sim
