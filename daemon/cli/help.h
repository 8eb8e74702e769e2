#pragma once

// What `cloister VERB --help` says below the options of the larger verbs: concepts and examples.

namespace cloister {

inline constexpr const char* kAppHelp = "TENANT/NAME, or NAME where the node has one tenant";

inline constexpr const char* kExitCodes =
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused (a check, a quota, a permission).\n"
    "For all verbs: --json, --socket PATH.\n";

// Of `dev`, which is no client of a node.
inline constexpr const char* kDevExitCodes =
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused (the manifest, a check).\n";

inline constexpr const char* kTenantsHelp =
    "A tenant is an account that owns apps. Its name is part of their addresses:\n"
    "APP.TENANT.BASE. Names: a-z first, then a-z, 0-9 and '-', at most 30 characters.\n\n"
    "Examples:\n"
    "  cloister tenants create demo\n"
    "  cloister tenants list --json\n"
    "  cloister tenants delete demo --force\n\n";

inline constexpr const char* kAppsHelp =
    "An app is an address and the releases behind it, of which one is live. `cloister deploy`\n"
    "makes the app when it is not there yet. Deleting one ends its workers and removes all that\n"
    "it has for good: releases, objects, database, config, secrets, log. One that is live or has\n"
    "any of these but kept releases and a log is deleted only with --force. Its name can be used\n"
    "again, by an app that knows nothing of the old one.\n\n"
    "Examples:\n"
    "  cloister apps list\n"
    "  cloister apps info demo/hello\n"
    "  cloister apps delete demo/hello --force\n\n";

inline constexpr const char* kDeployHelp =
    "Reads cloister.toml, takes the files of DIR but for those that .cloisterignore names (and\n"
    ".git, .venv, __pycache__, *.pyc, .cloister.env), adds the packages that the manifest asks\n"
    "for, and sends what the node has not got. An upload that broke off goes on where it\n"
    "stopped. Then the release is verified, compiled, booted in a confined worker and checked\n"
    "with the requests of [[check]]; each step is shown as it ends. What [entry] release names\n"
    "runs before that, on a copy of the app's data, and once more for good. Only when all went "
    "well do\n"
    "requests go to it, and what the former release had begun it finishes: until then, and\n"
    "after a failure, the release that was live serves on. Back again: `cloister rollback`.\n\n"
    "With --json, one object at the end: app, url, elapsed_ms, release (with its steps), or\n"
    "error.\n\n"
    "Examples:\n"
    "  cloister deploy\n"
    "  cloister deploy docs/examples/hello --app demo/hello\n"
    "  cloister deploy --python .venv/bin/python\n"
    "  cloister deploy --canary 10%\n"
    "  cloister deploy --no-rehearsal   # a release script, and a database over 256 MiB\n"
    "  cloister deploy --json | jq -r .url\n\n";

inline constexpr const char* kRollbackHelp =
    "The release is booted from the store and takes the requests; its code, its manifest and the\n"
    "limits in it come back, cut to today's quotas. What runs on the present release finishes\n"
    "there. While there is a canary, a rollback without VERSION ends that instead. A second\n"
    "rollback returns to where the first one came from: name the VERSION to go further back.\n\n"
    "The data stays, unless --with-data is there: then the app's database is again what it was\n"
    "right before a release script changed it, and what was written since is gone with the\n"
    "database that is there now. It shows the rows of each table and asks first. The database\n"
    "that is replaced becomes a snapshot, so that a rollback --with-data to its version is the\n"
    "way back. Objects, cache and config are none of it.\n\n"
    "Examples:\n"
    "  cloister rollback demo/hello\n"
    "  cloister rollback demo/hello 1.4.2\n"
    "  cloister rollback demo/hello 1.4.2 --with-data\n"
    "  cloister rollback demo/hello --with-data --yes --json\n\n";

inline constexpr const char* kSnapshotsHelp =
    "The node takes one before the script of a release ([entry] release) runs for good, of the\n"
    "version that is live then, and keeps the database that a rollback --with-data replaced. Of\n"
    "an app it keeps as many as the node's settings say ([releases] snapshots_max), and none of a\n"
    "release that is gone; of a database larger than snapshot_size none is taken.\n\n"
    "Examples:\n"
    "  cloister snapshots demo/shop\n"
    "  cloister snapshots demo/shop --json | jq '.snapshots[0].taken_at'\n\n";

inline constexpr const char* kBackupHelp =
    "What the node knows (tenants, apps, releases, config), the databases of apps, and their\n"
    "objects, each of one moment, while all of it is used. DIR has them as files, and a MANIFEST\n"
    "with their hashes, which is written last: what was broken off has another name and none. "
    "Logs,\n"
    "caches, snapshots, and what apps keep on servers of their own are not in it.\n"
    "Secrets are in it as they are stored: sealed with the node's key, which is only in it with\n"
    "--with-node-key.\n\n"
    "Examples:\n"
    "  cloister backup /srv/backups/$(date +%F)\n"
    "  cloister restore --check /srv/backups/2026-11-27\n\n";

inline constexpr const char* kRestoreHelp =
    "The node must not run, and its state directory must be empty. Every file is compared with "
    "its\n"
    "hash while it is copied; until all are there no node starts on the directory, and a restore\n"
    "that was broken off is begun anew. Afterwards start the node, and run `cloister verify`. As\n"
    "root the files are given to the node's user (node.uid_base of its settings).\n\n"
    "Examples:\n"
    "  cloister restore /srv/backups/2026-11-27\n"
    "  cloister restore /srv/backups/2026-11-27 --config other.toml\n"
    "  cloister restore --check /srv/backups/2026-11-27 --json\n\n";

inline constexpr const char* kLogsHelp =
    "What the app printed, logged with `logging` or wrote to wsgi.errors, and what the node "
    "says\n"
    "of it. Each event: time, version, source, level, logger, request id, text, fields; what is\n"
    "no text is shown as \\xNN; [check]: said while a deploy was checked. A TIME is as\n"
    "2026-11-21T10:05:03Z, or 90s, 15min, 1h, 7d. What is printed has no level: --level leaves\n"
    "it out. docs/apps/logging.md says more.\n"
    "With --json the exact events, as one object (events, next, lost), with -f one a "
    "line;\n"
    "bytes that are not UTF-8 are in `base64` instead of `text`.\n\n"
    "Examples:\n"
    "  cloister logs demo/hello\n"
    "  cloister logs demo/hello -f -n 0\n"
    "  cloister logs demo/hello --since 1h --level warning\n"
    "  cloister logs demo/hello --request 01JD3Q8ZC0V8J9T0F5K2W7X4YB\n"
    "  cloister logs demo/hello -f --json | jq -r .text\n\n";

inline constexpr const char* kReleasesHelp =
    "Each deploy makes a release. One is live; the ones before it are draining (finishing what\n"
    "they began) or kept; what did not come through the checks is rejected, and WHY says what\n"
    "its report says in full with --json. The oldest kept and rejected ones go by the node's "
    "policy; what was "
    "live\n"
    "is remembered, for its version is never taken twice.\n\n"
    "Examples:\n"
    "  cloister releases demo/hello\n"
    "  cloister releases demo/hello --all\n"
    "  cloister releases demo/hello --json | jq '.releases[0]'\n\n";

inline constexpr const char* kModulesHelp =
    "What is loaded once the entry point is imported: names, where each is from, and the\n"
    "SHA-256 of its file ('-': it is built in, compiled, or made by a program). Modules of the\n"
    "app belong to its release; those of the platform are Python's own, and change when\n"
    "cloisterd is restarted after an upgrade. All apps share those that every worker begins\n"
    "with, so they are listed whether the app imports them or not.\n"
    "What the app imports later, inside a function, is not listed.\n\n"
    "Without APP: the modules that this node's operator denies to apps ([modules] in its\n"
    "settings), and what changing them needs.\n\n"
    "Examples:\n"
    "  cloister modules demo/hello\n"
    "  cloister modules demo/hello 1.4.0 --json | jq '.modules[] | select(.origin == \"app\")'\n"
    "  cloister modules\n\n";

inline constexpr const char* kQuotaHelp =
    "A quota has the name and the values that it has in the node's settings file. What is set\n"
    "for an app goes before what is set for its tenant, and that before the node's settings; a\n"
    "manifest can ask for less. A change is in force at once: workers that need a new process\n"
    "for it are replaced one after another, and no request is lost. While the app is being\n"
    "deployed, it is in force when that has ended.\n\n"
    "Examples:\n"
    "  cloister quota show demo/hello\n"
    "  cloister quota set demo/hello limits.memory=128MiB limits.workers=4\n"
    "  cloister quota set demo log.rate=1MiB\n"
    "  cloister quota unset demo/hello limits.memory\n\n";

inline constexpr const char* kObjectsHelp =
    "What an app keeps with cloister.persistence: objects, which are bytes under the SHA-256 of\n"
    "them, and names that refer to them. OBJECT is a name, or an id of 64 hexadecimal digits. "
    "What\n"
    "arrives is checked against its id. The app's quotas hold.\n\n"
    "Examples:\n"
    "  cloister objects ls demo/shop avatars/\n"
    "  cloister objects put demo/shop logo.png --name images/logo.png\n"
    "  cloister objects get demo/shop images/logo.png -o logo.png\n"
    "  cloister objects rm demo/shop images/logo.png\n\n";

inline constexpr const char* kDbHelp =
    "`cloister db shell` runs SQL on an app's database, on whatever engine the node has: in the\n"
    "app's own process for SQL, with the refusals and quotas that the app has. It only reads\n"
    "unless --write is there, for what is typed meets the data of a live app. The app's log says\n"
    "who opened a shell.\n\n"
    "On a terminal: a prompt with a history; a statement ends with a semicolon, .help lists what\n"
    "else there is, Ctrl-C gives up the line or the statement that runs. Else SQL is read from\n"
    "standard input, or from -c, up to the first error. What BEGIN began holds for the shell,\n"
    "and is rolled back when it ends.\n\n"
    "With --json, an object a row and line (bytes as {\"base64\": ...}).\n\n"
    "Examples:\n"
    "  cloister db shell demo/shop\n"
    "  cloister db shell demo/shop -c 'SELECT count(*) FROM orders'\n"
    "  cloister db shell demo/shop --write < repair.sql\n"
    "  cloister db shell demo/shop --snapshot 3\n"
    "  cloister db shell demo/shop --json -c 'SELECT * FROM orders' | jq .id\n\n";

inline constexpr const char* kInitHelp =
    "Writes cloister.toml, an app, tests for it, .cloisterignore, and typings/ with the stubs of\n"
    "the cloister package, by which editors complete it. No node is asked, and a file that is\n"
    "there stays as it is.\n\n"
    "Examples:\n"
    "  cloister init shop && cloister dev shop\n"
    "  cloister init --kind flask --name shop\n\n";

inline constexpr const char* kDevHelp =
    "Serves the app of DIR on 127.0.0.1, with stand-ins in memory for what a node has, and starts\n"
    "anew when a file changes. What [entry] release of cloister.toml names runs first. Config\n"
    "comes from DIR/.cloister.env, a line NAME=VALUE each. What\n"
    "differs from a node is said at the start. --check asks what [[check]] says and ends, with 3\n"
    "when an answer is not as expected; --test runs the unittests of DIR; --where prints the\n"
    "folder to import the cloister package from, with --json too.\n\n"
    "Examples:\n"
    "  cloister dev\n"
    "  cloister dev shop --port 8001 --python .venv/bin/python\n"
    "  cloister dev --check\n"
    "  cloister dev --test\n"
    "  PYTHONPATH=$(cloister dev --where) python3 -m pytest\n\n";

inline constexpr const char* kConfigHelp =
    "The config is what differs between one place and another: addresses, sizes, switches. An\n"
    "app reads it as cloister.config[\"KEY\"], and as environment variables. It is no part of a\n"
    "release. Each change is a version of its own, with who made it and when: the live release\n"
    "is booted and checked with it, then new workers take over. When that fails the former\n"
    "config serves on, and nothing has happened but a line in the history.\n\n"
    "`rollback` goes back to the plain values of a former version; secrets stay as they are.\n\n"
    "Examples:\n"
    "  cloister config set demo/hello PAGE_SIZE=20 GREETING=\"Good morning\"\n"
    "  cloister config list demo/hello\n"
    "  cloister config history demo/hello\n"
    "  cloister config rollback demo/hello 3\n\n";

inline constexpr const char* kSecretsHelp =
    "A secret is a key of the config whose value nobody reads but the app: it is stored sealed,\n"
    "listed by its name alone, and replaced by its name in the app's log. The value comes from\n"
    "stdin, or is asked for on a terminal; a newline at its end is not part of it. Several keys\n"
    "are one change: stdin has a line for each, in their order.\n\n"
    "Examples:\n"
    "  cloister secrets set demo/hello DATABASE_URL\n"
    "  cloister secrets set demo/hello TLS_KEY < key.pem\n"
    "  cloister secrets set demo/hello USER PASSWORD < two-lines\n"
    "  cloister secrets unset demo/hello OLD_TOKEN\n\n";

inline constexpr const char* kVerifyHelp =
    "Reads every release with its files and bytecode and compares it with its hashes: what the\n"
    "node does anyway before a release runs, here for all of them, kept ones too. Opens every\n"
    "secret of the apps' configs with the node's key, and looks for the key of databases on a\n"
    "server. Apps go on serving, and deploys go on. Lists what is damaged (app, version, file,\n"
    "what) and then exits with 1.\n\n"
    "Examples:\n"
    "  cloister verify\n"
    "  cloister verify demo/hello --json | jq '.found[]'\n\n";

}  // namespace cloister
