#include "apis/persistence/object_overlay.h"

#include <algorithm>

#include "tests/apis/persistence/object_fixture.h"

namespace cloister {
namespace {

class ObjectOverlayTest : public ObjectStoreTest {
 protected:
  ObjectOverlayTest() : store(Open()) {
    WriteTo(*store, "a");
    WriteTo(*store, "b");
    EXPECT_TRUE(store->Begin().ok());
    for (const char* name : {"1", "2", "3"})
      EXPECT_TRUE(store->Put({.name = name, .id = Sha256Of("a"), .expected = {}}, quota).ok());
    EXPECT_TRUE(store->Commit().ok());
    overlay.Lend(store.get());
  }
  std::string Write(const std::string& bytes) {
    ObjectWriter writer((std::string()));
    EXPECT_TRUE(writer.Append(bytes).ok());
    EXPECT_TRUE(writer.Finish().ok());
    const auto refused = overlay.Write(writer, 1, quota);
    if (!refused.ok())
      return refused.error().message;
    return refused.value() ? std::string(refused.value()->quota) : std::string();
  }
  std::string Read(const std::string& bytes) {
    return overlay.Read(Sha256Of(bytes), 0, kObjectPieceMax).value().data;
  }
  std::string Names() {
    std::string all;
    std::string after;
    while (true) {
      const NamePage page = overlay.ListNames("", after, 2).value();
      for (const auto& [name, id] : page.names)
        all += name + " ";
      if (!page.more)
        return all;
      after = page.names.back().first;
    }
  }
  NamePutOutcome Put(const std::string& name, const std::string& object) {
    return overlay.Put({.name = name, .id = Sha256Of(object), .expected = {}}, quota)
        .value()
        .outcome;
  }

  std::unique_ptr<ObjectStore> store;
  ObjectOverlay overlay;
};

TEST_F(ObjectOverlayTest, ReadsWhatIsBelowAndLeavesItAsItIs) {
  EXPECT_EQ(Read("a"), "a");
  EXPECT_EQ(Write("c"), "");
  EXPECT_EQ(Read("c"), "c");
  EXPECT_EQ(overlay.Delete(Sha256Of("b")).value(), ObjectDeletion::kDeleted);
  EXPECT_EQ(Read("b"), "");
  EXPECT_EQ(overlay.Totals().value(), (ObjectTotals{.bytes = 2, .objects = 2, .names = 3}));
  EXPECT_EQ(store->Totals().value(), (ObjectTotals{.bytes = 2, .objects = 2, .names = 3}));
  EXPECT_TRUE(Has(*store, "b"));
  EXPECT_FALSE(Has(*store, "c"));
  EXPECT_EQ(Write("b"), "");
  EXPECT_EQ(Read("b"), "b");
}

TEST_F(ObjectOverlayTest, NamesAreThoseOfBoth) {
  EXPECT_EQ(Put("0", "b"), NamePutOutcome::kPut);
  EXPECT_EQ(Put("9", "a"), NamePutOutcome::kPut);
  EXPECT_EQ(Put("5", "nothing"), NamePutOutcome::kNoObject);
  EXPECT_TRUE(overlay.DeleteName("2", false).value());
  EXPECT_FALSE(overlay.DeleteName("2", false).value());
  EXPECT_EQ(Names(), "0 1 3 9 ");
  EXPECT_EQ(overlay.Totals().value().names, 4U);
  EXPECT_EQ(store->Get("2").value(), Sha256Of("a"));
  EXPECT_EQ(store->Get("0").value(), std::nullopt);
}

TEST_F(ObjectOverlayTest, AnObjectThatIsNamedInEitherStays) {
  EXPECT_EQ(overlay.Delete(Sha256Of("a")).value(), ObjectDeletion::kNamed);
  for (const char* name : {"1", "2", "3"})
    EXPECT_TRUE(overlay.DeleteName(name, false).value());
  Put("x", "a");
  EXPECT_EQ(overlay.Delete(Sha256Of("a")).value(), ObjectDeletion::kNamed);
  EXPECT_TRUE(overlay.DeleteName("x", true).value());
  EXPECT_EQ(overlay.Delete(Sha256Of("a")).value(), ObjectDeletion::kMissing);
  EXPECT_TRUE(Has(*store, "a"));
}

TEST_F(ObjectOverlayTest, ObjectsAreListedAsThoseOfBoth) {
  Write("c");
  EXPECT_TRUE(overlay.Delete(Sha256Of("b")).ok());
  std::vector<Sha256> expected = {Sha256Of("a"), Sha256Of("c")};
  std::ranges::sort(expected);
  EXPECT_EQ(overlay.ListObjects({}, 10).value().ids, expected);
  const ObjectPage first = overlay.ListObjects({}, 1).value();
  EXPECT_TRUE(first.more);
  EXPECT_EQ(overlay.ListObjects(first.ids[0], 10).value().ids, std::vector{expected[1]});
}

TEST_F(ObjectOverlayTest, ItHoldsSoManyBytesAndNoMore) {
  const std::string large = Pattern(ObjectOverlay::kBytesMax - 1000);
  EXPECT_EQ(Write(large), "");
  EXPECT_EQ(Write(Pattern(2000)), "a check may write 32 MiB of objects");
  EXPECT_EQ(Write(Pattern(500)), "");
  EXPECT_EQ(overlay.Delete(Sha256Of(large)).value(), ObjectDeletion::kDeleted);
  EXPECT_EQ(Write(Pattern(2000)), "");
}

TEST_F(ObjectOverlayTest, QuotasHoldForBothTogether) {
  const std::uint64_t names = overlay.Totals().value().charged() - 2;
  quota.bytes_max = Bytes{names + 3};
  EXPECT_EQ(Write("cd"), "persistence.bytes");
  EXPECT_EQ(Write("c"), "");
  quota.objects_max = 3;
  quota.bytes_max = Bytes{names + 100};
  EXPECT_EQ(Write("d"), "persistence.objects");
}

}  // namespace
}  // namespace cloister
