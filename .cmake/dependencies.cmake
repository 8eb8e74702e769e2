# What we borrow, all from Debian. Each is included by one pair of files only (tests/tree checks it).
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(GTest REQUIRED)
pkg_check_modules(UV REQUIRED IMPORTED_TARGET libuv)
pkg_check_modules(HIREDIS REQUIRED IMPORTED_TARGET hiredis)
pkg_check_modules(SECCOMP REQUIRED IMPORTED_TARGET libseccomp)
pkg_check_modules(SODIUM REQUIRED IMPORTED_TARGET libsodium)
pkg_check_modules(SQLITE REQUIRED IMPORTED_TARGET sqlite3)
pkg_check_modules(FMT REQUIRED IMPORTED_TARGET fmt)
pkg_check_modules(CRYPTO REQUIRED IMPORTED_TARGET libcrypto)
pkg_check_modules(SYSTEMD REQUIRED IMPORTED_TARGET libsystemd)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
pkg_check_modules(PYTHON REQUIRED IMPORTED_TARGET python-3.11-embed)
set(CLOISTER_PYTHON /usr/bin/python3.11)

# llhttp comes as C sources in Debian's node-llhttp; compiled here as a target of its own.
set(LLHTTP_SOURCE /usr/share/llhttp)
set(LLHTTP_INCLUDE /usr/share/include/llhttp)
