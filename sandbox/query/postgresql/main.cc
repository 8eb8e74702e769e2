// cloister-query-postgresql: runs one app's SQL on the operator's PostgreSQL server. Started by a
// blank of the zygote only (sandbox/query/sql_server/program.h).

#include <unistd.h>

#include "sandbox/query/postgresql/connection.h"
#include "sandbox/query/postgresql/dialect.h"
#include "sandbox/query/sql_server/program.h"

int main(int argc, char** argv) {
  const cloister::ServerProgram program{.dialect = cloister::PgDialect(),
                                        .open = cloister::PgConnection::Open};
  ::_exit(cloister::RunServerProgram(argc, argv, program));
}
