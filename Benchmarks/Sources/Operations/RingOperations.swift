// Ring: a descriptor from one thread to another, or through the ring on one thread.

import Ring

/// The size of what passes between loop, journal and workers.
private struct Descriptor: BitwiseCopyable {
    var sequence: UInt64 = 0
    var segment: UInt64 = 0
    var offset: UInt32 = 0
    var length: UInt32 = 0
    var route: UInt64 = 0
}

func ringOperations() -> [Operation] {
    [
        Operation("Ring: push and pop a descriptor") {
            let ring = SPSCRing<Descriptor>(capacity: 1024)
            return { count in
                for index in 0..<count {
                    guard ring.push(Descriptor(sequence: UInt64(index))), let taken = ring.pop() else {
                        preconditionFailure("an empty ring was full, or a full one empty")
                    }
                    consume(Int(taken.sequence))
                }
            }
        },
        Operation("Ring: push 64 descriptors, then pop them") {
            let ring = SPSCRing<Descriptor>(capacity: 1024)
            return { count in
                for index in 0..<count {
                    for step in 0..<64 { _ = ring.push(Descriptor(sequence: UInt64(index &+ step))) }
                    while let taken = ring.pop() { consume(Int(taken.sequence)) }
                }
            }
        },
    ]
}
