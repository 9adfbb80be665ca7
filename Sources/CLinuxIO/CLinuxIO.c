// The functions are inline in the header; this file makes the target a library and checks the header by itself.
#include "CLinuxIO.h"
