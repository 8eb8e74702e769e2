#pragma once

// Images of releases, built from the store when they are asked for.
//
// Everything that decides what runs is checked on its way into an image (I5): the rows against each
// other (daemon/releases/integrity.h), every content and all bytecode against their hashes. A
// difference is an error that says which, never an image. An image lives while somebody holds it;
// the most recently asked for are held here too, up to a budget. Built on the state's bulk thread.
// Runs on the loop thread.

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "apis/backends/sqlite.h"
#include "apis/base/units.h"
#include "daemon/statics/static_image.h"
#include "daemon/store/rows.h"
#include "daemon/store/state.h"
#include "daemon/workers/supervisor.h"

namespace cloister {

// What there is to compile of a release.
struct Sources {
  std::vector<BytecodeName> modules;      // without bytecode so far; those that `image` holds
  std::shared_ptr<const UniqueFd> image;  // null when there are none
};

// What a release's contents add up to, once all hashes held.
struct ContentsSummary {
  std::size_t files = 0;
  std::uint64_t bytes = 0;
};

class Images : public ImageSource, public StaticSource {
 public:
  struct Options {
    Bytes budget = MiB(256);
    // Names the interpreter that the bytecode is for.
    std::string magic = RuntimeMagic();
  };

  Images(Loop& loop, State& state, Options options);
  Images(const Images&) = delete;
  Images& operator=(const Images&) = delete;
  ~Images() override;

  void LoadImage(ReleaseId release, Done done) override;
  // The same image for the node's own eyes, mapped and checked on the bulk thread.
  void LoadStatics(ReleaseId release, StaticDone done) override;
  // The modules without bytecode, as an image without code.
  void LoadSources(ReleaseId release, std::function<void(Result<Sources>)> done);
  // Lets go of an image that will not be asked for soon.
  void Forget(ReleaseId release);

  const std::string& magic() const { return options_.magic; }
  // Of the Python that this build is for.
  static std::string RuntimeMagic();

 private:
  struct Built {
    std::shared_ptr<const UniqueFd> fd;
    Bytes size;
  };
  struct Held {
    ReleaseId release;
    Built image;
  };

  void OnBuilt(ReleaseId release, Result<Built> built);
  void Hold(ReleaseId release, Built image);
  static Result<Built> Build(Database& db, ReleaseId release, const std::string& magic);

  Loop& loop_;
  State& state_;
  Options options_;
  std::shared_ptr<Images*> self_;  // null inside once this is gone
  std::unordered_map<ReleaseId, std::weak_ptr<const UniqueFd>> alive_;
  std::unordered_map<ReleaseId, std::vector<Done>> waiting_;
  std::list<Held> held_;  // the most recently asked for first
  Bytes held_bytes_;
};

// Reads and hashes every content of the release. kNotFound or kSystem when one is missing or
// damaged. Blocking.
Result<ContentsSummary> VerifyContents(Database& db, ReleaseId release);

}  // namespace cloister
