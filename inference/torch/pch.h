// Precompiled for the sources that use LibTorch: parsing it takes longer than compiling them.
#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
