// Names and explanations of bundle stages and failures: the names travel through the API and never change,
// the explanations tell the operator what to change.
// SPDX-License-Identifier: Apache-2.0
#include "dataplane/wire/feedback.h"

namespace longhaul::wire {

const char* to_string(Stage stage) noexcept {
    switch (stage) {
        case Stage::complete:
            return "complete";
        case Stage::durable:
            return "durable";
        case Stage::published:
            return "published";
        case Stage::failed:
            return "failed";
    }
    return "unknown";
}

const char* to_string(FailReason reason) noexcept {
    switch (reason) {
        case FailReason::none:
            return "none";
        case FailReason::source_vanished:
            return "source_vanished";
        case FailReason::source_changed:
            return "source_changed";
        case FailReason::source_io:
            return "source_io";
        case FailReason::source_permission:
            return "source_permission";
        case FailReason::target_no_space:
            return "target_no_space";
        case FailReason::target_quota:
            return "target_quota";
        case FailReason::target_read_only:
            return "target_read_only";
        case FailReason::target_permission:
            return "target_permission";
        case FailReason::target_io:
            return "target_io";
        case FailReason::target_path:
            return "target_path";
        case FailReason::target_name:
            return "target_name";
        case FailReason::target_occupied:
            return "target_occupied";
        case FailReason::staging_missing:
            return "staging_missing";
        case FailReason::integrity:
            return "integrity";
        case FailReason::target_attributes:
            return "target_attributes";
        case FailReason::target_link:
            return "target_link";
        case FailReason::target_missing:
            return "target_missing";
        case FailReason::target_names:
            return "target_names";
        case FailReason::store_unknown:
            return "store_unknown";
        case FailReason::store_closed:
            return "store_closed";
        case FailReason::manifest_malformed:
            return "manifest_malformed";
        case FailReason::limit:
            return "limit";
        case FailReason::cancelled:
            return "cancelled";
        case FailReason::superseded:
            return "superseded";
        case FailReason::store_gone:
            return "store_gone";
        case FailReason::other_owner:
            return "other_owner";
        case FailReason::other_mode:
            return "other_mode";
        case FailReason::other_mtime:
            return "other_mtime";
        case FailReason::other_attributes:
            return "other_attributes";
        case FailReason::internal:
            return "internal";
    }
    return "unknown";
}

const char* explain(FailReason reason) noexcept {
    switch (reason) {
        case FailReason::none:
            return "Nothing failed.";
        case FailReason::source_vanished:
            return "The source file was deleted or renamed before it could be read; the next scan settles "
                   "it, nothing to do.";
        case FailReason::source_changed:
            return "The source file changed while it was being read; its new version will be sent. If this "
                   "repeats, the "
                   "writer should write to a temporary name and rename.";
        case FailReason::source_io:
            return "Reading the source file failed; check the source node's disk and kernel log.";
        case FailReason::source_permission:
            return "The source dataplane may not read this file; grant its user read access or leave the "
                   "path out of the "
                   "dataset.";
        case FailReason::target_no_space:
            return "The target store is full; free space or enlarge it, and replication resumes by itself.";
        case FailReason::target_quota:
            return "The target dataplane's user is over its disk quota; raise the quota or free space.";
        case FailReason::target_read_only:
            return "The target store is mounted read-only; remount it read-write (check the kernel log for "
                   "file system "
                   "errors first).";
        case FailReason::target_permission:
            return "The target dataplane may not write here; give its user write access to the store's "
                   "directory.";
        case FailReason::target_io:
            return "Writing at the target failed; check the target node's disk and kernel log.";
        case FailReason::target_path:
            return "The path is unsafe at the target: an unsafe name, or a symlink or plain file stands "
                   "where a directory "
                   "is needed. Nothing was touched; remove the obstacle at the target or rename at the "
                   "source.";
        case FailReason::target_name:
            return "The target's file system refuses this name (length or encoding); rename at the source or "
                   "use another "
                   "file system.";
        case FailReason::target_occupied:
            return "A directory stands where a file should go, or the reverse; remove it at the target.";
        case FailReason::staging_missing:
            return "Staged ranges of this object are not all at the target; the source sends them again. If "
                   "this repeats, "
                   "check that nobody cleans the store's .longhaul directory.";
        case FailReason::integrity:
            return "The bytes received, or standing at the target, differ from those read at the source; "
                   "they "
                   "are sent again. If this repeats, test the memory and disks of both nodes, and look for "
                   "others "
                   "who write at the target.";
        case FailReason::target_attributes:
            return "The target's file system cannot keep an extended attribute or ACL of this object (not "
                   "supported, too large or too many); use a file system that can, mount it with them, or "
                   "remove the attribute at the source.";
        case FailReason::target_link:
            return "The file that this one is another name of is not at the target in this version; it is "
                   "sent "
                   "with its bytes, nothing to do.";
        case FailReason::target_missing:
            return "What was published is not at the target any more; it is sent again. Look for others who "
                   "remove or rename there.";
        case FailReason::target_names:
            return "Something was put into the target's directory, or taken out of it, by others. What was "
                   "taken is sent again; remove what was put there.";
        case FailReason::store_unknown:
            return "The target dataplane does not know this store; check that the dataset's target store is "
                   "configured at "
                   "the target site.";
        case FailReason::store_closed:
            return "The target store was closed while the bundle travelled; open it again or remove the "
                   "dataset.";
        case FailReason::manifest_malformed:
            return "The target could not read the bundle's manifest; run the same Longhaul version at both "
                   "sites.";
        case FailReason::limit:
            return "A bound of the target is reached (entries or open bundles); the source retries. If this "
                   "repeats, give "
                   "the target dataplane more memory_mib.";
        case FailReason::cancelled:
            return "The bundle was cancelled by the source's control process.";
        case FailReason::superseded:
            return "A newer generation of this bundle, or of the order that it belongs to, replaced it; "
                   "nothing to do: "
                   "the source sends its changes again.";
        case FailReason::store_gone:
            return "The directory of the target store was removed, renamed, unmounted or mounted over; put "
                   "it back and "
                   "replication resumes by itself. If what it held is lost for good, remove the dataset and "
                   "create "
                   "it again.";
        case FailReason::other_owner:
            return "Owner or group at the target are not the source's; they are set again. Look for others "
                   "who change them there.";
        case FailReason::other_mode:
            return "The mode at the target is not the source's; it is set again. Look for others who change "
                   "it there.";
        case FailReason::other_mtime:
            return "The modification time at the target is not the source's; it is set again. Look for "
                   "others who write there.";
        case FailReason::other_attributes:
            return "Extended attributes or ACLs at the target are not the source's; they are set again. Look "
                   "for others who change them there.";
        case FailReason::internal:
            return "An internal limit or defect stopped this bundle; look at the dataplane's log and report "
                   "it.";
    }
    return "Unknown reason; run the same Longhaul version at both sites.";
}

}  // namespace longhaul::wire
