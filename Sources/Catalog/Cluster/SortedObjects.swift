// SortedObjects: the objects of one collection by namespace and name. A change costs a search and a move within one block; reading all in order
// costs nothing, which is what each compilation of the catalog does.

struct SortedObjects: Sendable {
    /// In the order of (namespace, name), each once.
    private(set) var list: [CatalogObject] = []

    init() {}

    /// Of several objects of one name the last counts.
    init(_ objects: [CatalogObject]) {
        let sorted = objects.enumerated().sorted { a, b in
            Self.isBefore(a.element, b.element) || (!Self.isBefore(b.element, a.element) && a.offset < b.offset)
        }
        list.reserveCapacity(sorted.count)
        for (_, object) in sorted {
            if let last = list.last, !Self.isBefore(last, object) { list.removeLast() }
            list.append(object)
        }
    }

    subscript(_ namespace: String, _ name: String) -> CatalogObject? {
        let (index, isThere) = find(namespace, name)
        return isThere ? list[index] : nil
    }

    mutating func put(_ object: CatalogObject) {
        let (index, isThere) = find(object.facts.namespace, object.facts.name)
        if isThere {
            list[index] = object
        } else {
            list.insert(object, at: index)
        }
    }

    /// The object that was there.
    mutating func remove(_ namespace: String, _ name: String) -> CatalogObject? {
        let (index, isThere) = find(namespace, name)
        return isThere ? list.remove(at: index) : nil
    }

    /// Where the object is, or where it belongs.
    private func find(_ namespace: String, _ name: String) -> (index: Int, isThere: Bool) {
        var low = 0
        var high = list.count
        while low < high {
            let middle = (low + high) / 2
            let facts = list[middle].facts
            if (facts.namespace, facts.name) < (namespace, name) { low = middle + 1 } else { high = middle }
        }
        let isThere = low < list.count && list[low].facts.namespace == namespace && list[low].facts.name == name
        return (low, isThere)
    }

    private static func isBefore(_ a: CatalogObject, _ b: CatalogObject) -> Bool {
        (a.facts.namespace, a.facts.name) < (b.facts.namespace, b.facts.name)
    }
}
