#pragma once

// Files of releases that the node serves itself: [static] of the manifest (docs/apps/
// entry-points.md), without a worker.
//
// The router asks here before it asks a worker. What is sent are views into the image of the
// release that the routing snapshot names: no file of another release can be meant. Images come
// from the store, so the first answer of a release waits for it; the most recently used ones are
// kept, up to a budget. A large file goes out piece by piece as the client takes it: no more than
// one piece of it is copied at a time, and nothing of it goes to a spool file. Runs on the loop
// thread.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "apis/base/clock.h"
#include "apis/base/names.h"
#include "apis/base/units.h"
#include "config/manifest_static.h"
#include "daemon/http/conditions.h"
#include "daemon/http/message.h"
#include "daemon/loop/loop.h"
#include "daemon/statics/content_coding.h"
#include "daemon/statics/static_image.h"

namespace cloister {

using StaticRoutes = std::vector<StaticRoute>;

// The release that a request is for, as the routing snapshot has it.
struct StaticSite {
  ReleaseId release;
  const AppName& app;
  std::string_view version;
  const StaticRoutes& routes;
};

// A file in the form that its client wants.
struct StaticForm {
  StaticFile file;
  const ContentCoding* coding = nullptr;  // null: as it is
  bool varies = false;                    // there are others
};

class StaticFiles {
 public:
  struct Options {
    // Of the images that are kept for the next request.
    Bytes budget = MiB(256);
    std::size_t images_max = 256;
  };

  enum class Found {
    kAnswered,   // here; the exchange is over, or ends when its client has taken the file
    kNoFile,     // no row of [static] fits, or the release has no such file: the app is asked
    kNotLoaded,  // only the image can tell: Load() it
  };

  // Both must outlive this; this must outlive all exchanges that it was given.
  StaticFiles(Loop& loop, StaticSource& source, const Options& options);
  StaticFiles(const StaticFiles&) = delete;
  StaticFiles& operator=(const StaticFiles&) = delete;
  ~StaticFiles();

  Found Answer(const StaticSite& site, Exchange& exchange);

  // After kNotLoaded. `again` gets the exchange when the image is there: it decides anew, for the
  // app may have another release by then. An image that cannot be had is answered 503 here, for a
  // second without trying again.
  void Load(ReleaseId release, Exchange& exchange, std::function<void(Exchange&)> again);

  // Lets go of the image of a release that serves no more. What is being sent of it goes on, as
  // long as there is memory for it.
  void Forget(ReleaseId release);

 private:
  class Transfer;
  // An exchange that waits for an image.
  struct Waiting;

  struct Kept {
    ReleaseId release;
    std::shared_ptr<const StaticImage> image;
  };

  // What a request leads to.
  struct Hit {
    const std::string& file;  // path in the bundle
    const StaticForm& form;
    const std::shared_ptr<const StaticImage>& image;
    Seconds cache{0};
  };

  void RespondFile(const Hit& hit, Exchange& exchange);
  void RespondPart(const Hit& hit, const Validators& validators, std::vector<HttpHeader> headers,
                   Exchange& exchange);
  std::shared_ptr<const StaticImage> Find(ReleaseId release);
  void Keep(ReleaseId release, std::shared_ptr<const StaticImage> image);
  void Drop(ReleaseId release);
  bool IsKept(const StaticImage& image) const;
  // Images that are not kept any more live as long as clients take files of them: together within
  // the budget, else the oldest of those transfers end.
  void EndExcess();
  void OnLoaded(ReleaseId release, Result<std::shared_ptr<const StaticImage>> loaded);
  void Send(Exchange& exchange, std::shared_ptr<const StaticImage> image, std::string_view bytes);
  void EndTransfer(std::uint64_t number);
  void NoteFailure(ReleaseId release, const Error& error);
  bool HasFailed(ReleaseId release) const;

  Loop& loop_;
  StaticSource& source_;
  Options options_;
  std::list<Kept> kept_;  // the most recently used first
  std::unordered_map<ReleaseId, std::list<Kept>::iterator> by_release_;
  std::uint64_t kept_bytes_ = 0;
  std::unordered_map<ReleaseId, std::list<Waiting>> loads_;
  std::unordered_map<ReleaseId, MonotonicTime> failed_;           // and when it may be tried again
  std::map<std::uint64_t, std::unique_ptr<Transfer>> transfers_;  // the oldest first
  std::uint64_t last_transfer_ = 0;
  std::shared_ptr<StaticFiles*> self_;  // null inside once this is gone
};

}  // namespace cloister
