// A picture as a grid of overlapping parts, for objects that are too small on the whole one; and
// what was found on all of them as one result.
// Thread-safety: all functions are safe.
#pragma once

#include <span>
#include <vector>

#include "backend.h"
#include "types.h"

namespace moondream {

// A rectangle of a picture.
struct Part {
  int x = 0, y = 0, width = 0, height = 0;  // pixels
  Box place;                                // the same as fractions of the picture
};

// The whole picture, then, unless the grid is 1x1, its parts row by row. Parts are equally large;
// neighbours overlap by a quarter of their size, so that an object that is no larger than that lies
// whole in one of them. Larger ones, a seventh of the picture in a 2x2 grid, are left to the whole
// picture; a wider overlap would magnify less for the same work.
// width, height: pixels, >= 1. Throws Error{kSettings} if a side of the grid is out of its range.
std::vector<Part> parts_of(int width, int height, Grid grid);

// Make one result of what one prompt found on each of `places`, which are parts_of() more than one:
// found[i] on places[i], in coordinates of its own. The result has those of the whole picture, the
// best score first and max_objects (>= 1) at most; equal scores are in the order of places.
//
// Of what was found twice one is kept: first what is not cut, then what has the better score. Two
// finds on one place are never taken for the same, as the model has told them apart.
//
// Boxes are the same if their intersection over union is at least 0.4. A box is cut if it reaches
// an edge that its part has inside the picture; it is the same as another one already if they share
// half of the smaller one's area: it may be just a piece of the other. If it is a whole object
// after all, it is smaller than the overlap, and a neighbour has found it uncut.
std::vector<ScoredBox> merge_boxes(std::span<const Box> places,
                                   std::span<const std::vector<ScoredBox>> found, int max_objects);

// Points are the same if they are no more than 1/32 of the picture apart, in fractions of its width
// and height. A point is cut if it is in the outer half of an overlap: a neighbour sees more around
// it. It is the same as another one within 1/8 of its part's width and height already: the middle
// of a piece is not the middle of the object.
std::vector<ScoredPoint> merge_points(std::span<const Box> places,
                                      std::span<const std::vector<ScoredPoint>> found,
                                      int max_objects);

}  // namespace moondream
