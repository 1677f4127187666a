// The history that every crash and every fault is tried on: all kinds of entries, small enough that each of its moments
// can be tried.
// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/storage/history.h"

namespace longhaul::storage::sim {

namespace {

constexpr int kFilesFlushedTogether = 32;  // as many as a bundle must have to be flushed by syncfs

Bundle many_files(std::uint64_t number, const std::string& directory) {
    BundleMaker maker(number);
    maker.directory(directory);
    for (int i = 0; i < kFilesFlushedTogether; ++i) {
        const std::string path = directory + "/" + std::to_string(i);
        maker.file(path, content_of(path, i == 0 ? 0 : static_cast<std::size_t>(i) * 37));
    }
    return maker.mark(static_cast<std::int64_t>(number)).take();
}

}  // namespace

History make_history() {
    const wire::ObjectKey big{1, 1}, other{1, 2};
    const std::string whole = content_of("big", 300'001);
    const std::string small = content_of("d/other", 150'000);
    History history;
    history.push_back({BundleMaker(1)
                           .directory("d")
                           .file("d/empty", "")
                           .file("d/small", content_of("small", 5000))
                           .file("d/direct", content_of("direct", 70'007))
                           .symlink("d/link", "somewhere")
                           .file("new/parents/file", content_of("file", 100))
                           .mark(1)
                           .take()});
    // Two that one syncfs may serve.
    history.push_back({many_files(2, "many"), many_files(3, "much/more")});
    history.push_back({BundleMaker(4).range(big, whole, 0, 131'072).take(),
                       BundleMaker(5).range(big, whole, 131'072, 131'072).take(),
                       BundleMaker(6).range(other, small, 0, 77'824).take()});
    history.push_back({BundleMaker(7).range(big, whole, 262'144, whole.size() - 262'144).take()});
    history.push_back({BundleMaker(8).assemble("big", big, whole).mark(8).take(),
                       BundleMaker(9)
                           .range(other, small, 77'824, small.size() - 77'824)
                           .assemble("d/other", other, small)
                           .take()});
    // Overwritten, replaced by another kind, changed in place, removed.
    history.push_back({BundleMaker(10)
                           .file("d/small", content_of("small again", 4000))
                           .file("d/link", content_of("no link", 10))
                           .metadata("d/direct", 0600)
                           .remove("d/empty")
                           .remove("new/parents/file")
                           .remove("new/parents")
                           .remove("big")
                           .symlink("many/1", "../d")
                           .directory("many/2")
                           .mark(10)
                           .take()});
    return history;
}

}  // namespace longhaul::storage::sim
