// The state store's tables and how an older file becomes a newer one.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "control/state/sqlite.h"

namespace longhaul::control {

// Brings the file to this program's version, in one transaction. Refuses a file written by a newer program.
int schema_version();
// `wanted` below it leaves the file as an older program would have.
Result<void> migrate(Database& database, int wanted = schema_version());

}  // namespace longhaul::control
