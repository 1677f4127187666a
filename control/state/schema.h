// The state store's tables and how an older file becomes a newer one.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "control/state/sqlite.h"

namespace longhaul::control {

// Brings the file to this program's version, in one transaction. Refuses a file written by a newer program.
Result<void> migrate(Database& database);
int schema_version();

}  // namespace longhaul::control
