#pragma once

// An Image as the Python part of the loader sees it: lookups by path, contents without copies.

#include "sandbox/image/image.h"
#include "sandbox/worker/python.h"

namespace cloister {

// Makes the Python type; once, in the zygote.
bool PrepareImageView();

// A view of `image`, which must stay mapped as long as the process lives.
PyRef NewImageView(const Image& image);

}  // namespace cloister
