#pragma once

// A place in a circular doubly linked list, for objects that wait in at most one list at a time and
// leave it by themselves when they are destroyed. The list is a ListLink too; it owns nothing.

namespace cloister {

class ListLink {
 public:
  ListLink() = default;
  ListLink(const ListLink&) = delete;
  ListLink& operator=(const ListLink&) = delete;
  ~ListLink() { Unlink(); }

  // For an element: whether it waits in a list. For a list: whether anything waits in it.
  bool linked() const { return next_ != this; }
  // The first element of this list; the list itself when it is empty.
  ListLink& first() const { return *next_; }

  // Moves this to the end of `list`.
  void AppendTo(ListLink& list) {
    Unlink();
    prev_ = list.prev_;
    next_ = &list;
    prev_->next_ = this;
    list.prev_ = this;
  }
  void Unlink() {
    prev_->next_ = next_;
    next_->prev_ = prev_;
    prev_ = next_ = this;
  }

 private:
  ListLink* prev_ = this;
  ListLink* next_ = this;
};

}  // namespace cloister
