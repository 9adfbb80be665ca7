// IndexList: a first-in first-out list of slab indexes. The links lie in an array beside the slab, so that an element
// moves between lists without allocation. An element is in at most one list that uses the same links.

struct IndexList: Sendable {
    static let none: Int32 = -1

    private(set) var first: Int32 = none
    private var last: Int32 = none
    private(set) var count = 0

    var isEmpty: Bool { first == Self.none }

    mutating func append(_ index: Int, _ links: inout [Int32]) {
        links[index] = Self.none
        if last == Self.none { first = Int32(index) } else { links[Int(last)] = Int32(index) }
        last = Int32(index)
        count += 1
    }

    /// Puts one before all others.
    mutating func prepend(_ index: Int, _ links: inout [Int32]) {
        links[index] = first
        if first == Self.none { last = Int32(index) }
        first = Int32(index)
        count += 1
    }

    /// Puts some where they belong, one after the other: each before the first that is not before it. One pass over the list and them.
    mutating func merge(_ indexes: [Int], _ links: inout [Int32], isBefore: (Int, Int) -> Bool) {
        var previous = Self.none
        var next = first
        for index in indexes {
            while next != Self.none, isBefore(Int(next), index) {
                previous = next
                next = links[Int(next)]
            }
            links[index] = next
            if previous == Self.none { first = Int32(index) } else { links[Int(previous)] = Int32(index) }
            if next == Self.none { last = Int32(index) }
            previous = Int32(index)
            count += 1
        }
    }

    mutating func popFirst(_ links: [Int32]) -> Int? {
        guard first != Self.none else { return nil }
        let index = Int(first)
        first = links[index]
        if first == Self.none { last = Self.none }
        count -= 1
        return index
    }
}

/// Slots that are given back and used again; an index stays valid until it is freed.
struct Slab<Element: Sendable>: Sendable {
    private(set) var slots: [Element] = []
    /// One link for each slot, for one `IndexList` at a time.
    var links: [Int32] = []
    private var free: [Int32] = []

    mutating func insert(_ element: Element) -> Int {
        if let index = free.popLast() {
            slots[Int(index)] = element
            return Int(index)
        }
        slots.append(element)
        links.append(IndexList.none)
        return slots.count - 1
    }

    mutating func remove(_ index: Int) { free.append(Int32(index)) }

    var count: Int { slots.count - free.count }

    subscript(_ index: Int) -> Element {
        _read { yield slots[index] }
        _modify { yield &slots[index] }
    }
}

/// Values kept once and named by an index, with a count of users.
struct Interned<Value: Hashable & Sendable>: Sendable {
    private var slab = Slab<(value: Value, users: Int)>()
    private var indexes: [Value: Int] = [:]

    mutating func retain(_ value: Value) -> Int {
        if let index = indexes[value] {
            slab[index].users += 1
            return index
        }
        let index = slab.insert((value, 1))
        indexes[value] = index
        return index
    }

    /// Where a value is; nil: it has no user.
    func index(of value: Value) -> Int? { indexes[value] }

    /// One more user of a value that has one already.
    mutating func retain(_ index: Int) { slab[index].users += 1 }

    mutating func release(_ index: Int) {
        slab[index].users -= 1
        if slab[index].users == 0 {
            indexes[slab[index].value] = nil
            slab.remove(index)
        }
    }

    subscript(_ index: Int) -> Value { slab[index].value }
}
