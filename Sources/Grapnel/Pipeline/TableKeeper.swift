// TableKeeper: lets route tables go where it holds up nobody. A table is tens of thousands of objects: whoever drops the last reference frees
// them all, and a loop that did so would keep its deliveries waiting.

internal import Delivery

/// Every table that somebody may still use. On the thread of the rebuilder alone.
struct TableKeeper: ~Copyable {
    private var tables: [RouteTable] = []

    var count: Int { tables.count }

    mutating func keep(_ table: RouteTable) { tables.append(table) }

    /// Frees those that nobody uses any more. True when there were such.
    mutating func letGo() -> Bool {
        let before = tables.count
        var used: [RouteTable] = []
        while var table = tables.popLast() {
            // Who has no reference cannot come by one: nobody else knows the table.
            if !isKnownUniquelyReferenced(&table) { used.append(table) }
        }
        tables = used.reversed()
        return tables.count < before
    }
}
