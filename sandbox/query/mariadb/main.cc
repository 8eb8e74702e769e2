// cloister-query-mariadb: runs one app's SQL on the operator's MariaDB server. Started by a blank
// of the zygote only (sandbox/query/sql_server/program.h).

#include <unistd.h>

#include "sandbox/query/mariadb/connection.h"
#include "sandbox/query/mariadb/dialect.h"
#include "sandbox/query/sql_server/program.h"

int main(int argc, char** argv) {
  const cloister::ServerProgram program{.dialect = cloister::MyDialect(),
                                        .open = cloister::MyConnection::Open};
  ::_exit(cloister::RunServerProgram(argc, argv, program));
}
