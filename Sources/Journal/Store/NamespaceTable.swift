// NamespaceTable: owed bytes per namespace of a cluster, so that no namespace can fill the journal alone.
//
// Namespaces come from the catalog, never from a request, so there are few and the table only grows. After the first
// delivery of a namespace a lookup allocates nothing.

struct NamespaceTable: ~Copyable {
    private struct Namespace {
        var hash: UInt64
        // Cluster, a zero byte, namespace.
        var name: [UInt8]
        var owedBytes: UInt64
    }

    private var namespaces: [Namespace] = []
    // 1 + an index into `namespaces`, 0 when empty; a power of two, at most half full.
    private var slots: [UInt32] = Array(repeating: 0, count: 64)

    /// The number of a namespace, the same for the life of the table.
    mutating func identifier(cluster: ByteReader, namespace: ByteReader) -> UInt32 {
        let hash = Self.hash(cluster, namespace)
        var slot = Int(truncatingIfNeeded: hash) & (slots.count - 1)
        while slots[slot] != 0 {
            let index = Int(slots[slot]) - 1
            if namespaces[index].hash == hash, matches(index, cluster, namespace) { return UInt32(index) }
            slot = (slot + 1) & (slots.count - 1)
        }
        let name = cluster.bytes(from: 0, count: cluster.count) + [0] + namespace.bytes(from: 0, count: namespace.count)
        namespaces.append(Namespace(hash: hash, name: name, owedBytes: 0))
        slots[slot] = UInt32(namespaces.count)
        if namespaces.count > slots.count / 2 { grow() }
        return UInt32(namespaces.count - 1)
    }

    func owedBytes(_ identifier: UInt32) -> UInt64 { namespaces[Int(identifier)].owedBytes }

    mutating func add(_ bytes: UInt64, to identifier: UInt32) {
        namespaces[Int(identifier)].owedBytes += bytes
    }

    mutating func subtract(_ bytes: UInt64, from identifier: UInt32) {
        namespaces[Int(identifier)].owedBytes -= bytes
    }

    private func matches(_ index: Int, _ cluster: ByteReader, _ namespace: ByteReader) -> Bool {
        let count = namespaces[index].name.count
        guard count == cluster.count + 1 + namespace.count, namespaces[index].name[cluster.count] == 0 else {
            return false
        }
        for position in 0..<cluster.count
        where namespaces[index].name[position] != cluster.uint8(at: position) { return false }
        for position in 0..<namespace.count
        where namespaces[index].name[cluster.count + 1 + position] != namespace.uint8(at: position) { return false }
        return true
    }

    /// FNV-1a. Names come from the operator's catalog: nobody gains by making them collide.
    private static func hash(_ cluster: ByteReader, _ namespace: ByteReader) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for position in 0..<cluster.count { hash = (hash ^ UInt64(cluster.uint8(at: position))) &* 0x100_0000_01b3 }
        hash = hash &* 0x100_0000_01b3
        for position in 0..<namespace.count { hash = (hash ^ UInt64(namespace.uint8(at: position))) &* 0x100_0000_01b3 }
        return hash ^ hash >> 32
    }

    private mutating func grow() {
        slots = Array(repeating: 0, count: slots.count * 2)
        for index in namespaces.indices {
            var slot = Int(truncatingIfNeeded: namespaces[index].hash) & (slots.count - 1)
            while slots[slot] != 0 { slot = (slot + 1) & (slots.count - 1) }
            slots[slot] = UInt32(index + 1)
        }
    }
}
