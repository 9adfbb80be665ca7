// RouteTable: the immutable snapshot that the loops route and verify by.
//
// Compiled from `RouteDefinition`s when the configuration changes and swapped as a whole. Lookup is by (path, host or any host): one
// hash over the path, one probe sequence, no allocation.
//
//   buckets:  open addressing over the path's hash; -1 empty; an entry is the index of the first route with that path
//   routes:   hot facts of each route, fixed size; `next` chains routes of one path and different hosts, the one for any host last;
//             `sibling` those that are one receiver in several clusters
//   bytes:    paths, hosts, identities, event names: one block, addressed by offset
//
// Threads: written in init, then only read. Loops keep a reference for as long as a delivery of theirs points into it.

internal import CCrypto
internal import Glibc

/// A compiled catalog. Sendable: immutable after `init`.
@safe
public final class RouteTable: @unchecked Sendable {
    // Protocol behind @unchecked Sendable: nothing is written after init.

    /// Offset and length in `bytes`.
    struct Text {
        var start: UInt32 = 0
        var count: UInt32 = 0
    }

    enum Readiness: UInt8 { case ready, unavailable, secretUnusable }

    struct Hot {
        var sender: SenderType
        var kind: ReceiverKind
        var readiness: Readiness
        var hasActions: Bool
        var acceptsAnyEvent: Bool
        var hasRules: Bool
        var readsBody: Bool
        var dedupeWindowSeconds: UInt32
        var fingerprint: UInt32
        var bodyBytesMax: Int
        var next: Int32
        var sibling: Int32 = -1
        var path: Text
        var host: Text
        var cluster: Text
        var namespace: Text
        var name: Text
        var identity: Text
        var eventStart: Int32
        var eventCount: Int32
        var secrets: SecretTable.Range
        var scheme: HMACScheme?
        var schemeHeader: Text
        var schemePrefix: Text
    }

    /// The definitions it was compiled from, by route index; the families' fallbacks come last. Cold.
    public let definitions: [RouteDefinition]
    /// Those of receivers, without fallbacks.
    public var routes: ArraySlice<RouteDefinition> { definitions.dropLast(families.count) }
    /// Counts snapshots of this process; for logs and metrics.
    public let generation: UInt64
    /// Whether all sources of routes were read: until then a path that is not found may be one that is not known yet (503, not 404).
    public let isComplete: Bool
    let secretTable: SecretTable
    private let hot: UnsafeMutablePointer<Hot>
    private let events: UnsafeMutablePointer<Text>
    private let eventCount: Int
    private let buckets: UnsafeMutablePointer<Int32>
    private let bucketMask: Int
    private let bytes: UnsafeMutablePointer<UInt8>
    private let index: [RouteIdentity: Int]
    private let families: [(family: any PathFamily, fallback: Int)]

    /// Compiles. `routes` claim each (host, path) once: the catalog has settled that; of two, the first stays. The fallbacks of
    /// `families` follow behind them.
    public init(
        _ routes: [RouteDefinition], families: [any PathFamily] = [], bodyBytesMax: Int, generation: UInt64 = 0,
        isComplete: Bool = true
    ) {
        self.isComplete = isComplete
        let definitions = routes + families.map(\.fallback)
        self.definitions = definitions
        self.families = families.enumerated().map { ($0.element, routes.count + $0.offset) }
        self.generation = generation
        secretTable = SecretTable(definitions.flatMap(\.secrets))
        var pool: [UInt8] = []
        func text(_ string: String) -> Text {
            let start = pool.count
            pool.append(contentsOf: string.utf8)
            return Text(start: UInt32(start), count: UInt32(pool.count - start))
        }
        var hots: [Hot] = []
        var eventTexts: [Text] = []
        var secretStart = 0
        var index: [RouteIdentity: Int] = [:]
        for (number, route) in definitions.enumerated() {
            let readiness: Readiness =
                switch route.readiness {
                case .ready: .ready
                case .suspended, .notReady: .unavailable
                case .secretUnusable: .secretUnusable
                }
            hots.append(
                Hot(
                    sender: route.sender, kind: route.identity.kind, readiness: readiness,
                    hasActions: route.causesTriggers, acceptsAnyEvent: route.events.isEmpty,
                    hasRules: route.rules != nil, readsBody: route.readsBody,
                    dedupeWindowSeconds: route.dedupeWindowSeconds ?? route.sender.dedupeWindowSeconds,
                    fingerprint: Self.fingerprint(of: route),
                    bodyBytesMax: min(route.bodyBytesMax ?? bodyBytesMax, bodyBytesMax),
                    next: -1, path: text(route.path), host: text(route.host ?? ""),
                    cluster: text(route.identity.cluster),
                    namespace: text(route.identity.namespace), name: text(route.identity.name),
                    identity: text("\(route.identity.cluster)\u{0}\(route.identity)"),
                    eventStart: Int32(eventTexts.count), eventCount: Int32(route.events.count),
                    secrets: SecretTable.Range(start: secretStart, count: route.secrets.count), scheme: route.hmac,
                    schemeHeader: text(route.hmac?.header.lowercased() ?? ""),
                    schemePrefix: text(route.hmac?.prefix ?? "")))
            for event in route.events { eventTexts.append(text(event.lowercased())) }
            secretStart += route.secrets.count
            // A fallback may bear the name of a route that it stands in for.
            if number < routes.count, !route.isRetiredPath { index[route.identity] = number }
        }
        self.index = index
        unsafe bytes = .allocate(capacity: max(1, pool.count))
        unsafe bytes.initialize(from: pool, count: pool.count)
        unsafe hot = .allocate(capacity: max(1, hots.count))
        unsafe hot.initialize(from: hots, count: hots.count)
        unsafe events = .allocate(capacity: max(1, eventTexts.count))
        unsafe events.initialize(from: eventTexts, count: eventTexts.count)
        eventCount = eventTexts.count
        var size = 8
        while size < 2 * definitions.count { size <<= 1 }
        bucketMask = size - 1
        unsafe buckets = .allocate(capacity: size)
        unsafe buckets.initialize(repeating: -1, count: size)
        // A fallback has no path of its own.
        for number in 0..<routes.count { insert(number) }
    }

    deinit {
        unsafe hot.deinitialize(count: definitions.count)
        unsafe hot.deallocate()
        unsafe events.deallocate()
        unsafe buckets.deallocate()
        unsafe bytes.deallocate()
    }

    private func insert(_ number: Int) {
        let path = unsafe view(hot[number].path)
        var bucket = unsafe Self.hash(path) & bucketMask
        while true {
            let first = unsafe Int(buckets[bucket])
            if first < 0 {
                unsafe buckets[bucket] = Int32(number)
                return
            }
            if unsafe Self.equal(view(hot[first].path), path) {
                if join(number, siblingsFrom: first) { return }
                // A host of its own goes before any host.
                if unsafe hot[number].host.count > 0 && hot[first].host.count == 0 {
                    unsafe hot[number].next = Int32(first)
                    unsafe buckets[bucket] = Int32(number)
                    return
                }
                var last = first
                while unsafe hot[last].next >= 0 && hot[Int(hot[last].next)].host.count > 0 {
                    last = unsafe Int(hot[last].next)
                }
                unsafe hot[number].next = unsafe hot[last].next
                unsafe hot[last].next = Int32(number)
                return
            }
            bucket = (bucket + 1) & bucketMask
        }
    }

    /// Chains the route to the one on its path that it is a sibling of; false when there is none.
    private func join(_ number: Int, siblingsFrom first: Int) -> Bool {
        var other = first
        while other >= 0 {
            if definitions[number].isSibling(of: definitions[other]) {
                while unsafe hot[other].sibling >= 0 { other = unsafe Int(hot[other].sibling) }
                unsafe hot[other].sibling = Int32(number)
                return true
            }
            other = unsafe Int(hot[other].next)
        }
        return false
    }

    // - Lookup

    /// The route of a path, or -1. `host` without port, any case; may be empty; `query` matters to families alone. Allocation-free but
    /// for paths of a family.
    public func find(
        path: UnsafeRawBufferPointer,
        query: UnsafeRawBufferPointer = unsafe UnsafeRawBufferPointer(start: nil, count: 0),
        host: UnsafeRawBufferPointer
    ) -> Int {
        let route = unsafe findExact(path: path, host: host)
        return unsafe route >= 0 || families.isEmpty ? route : findInFamilies(path: path, query: query, host: host)
    }

    private func findInFamilies(
        path: UnsafeRawBufferPointer, query: UnsafeRawBufferPointer, host: UnsafeRawBufferPointer
    ) -> Int {
        let text = unsafe String(decoding: path, as: UTF8.self)
        for (family, fallback) in families where family.prefixes.contains(where: { text.hasPrefix($0) }) {
            var parameters: String?
            if query.count > 0 { parameters = unsafe String(decoding: query, as: UTF8.self) }
            guard var canonical = family.routePath(of: text, query: parameters) else {
                return isComplete ? fallback : -1
            }
            let route = canonical.withUTF8 { unsafe findExact(path: UnsafeRawBufferPointer($0), host: host) }
            return route >= 0 ? route : isComplete ? fallback : -1
        }
        return -1
    }

    private func findExact(path: UnsafeRawBufferPointer, host: UnsafeRawBufferPointer) -> Int {
        var bucket = unsafe Self.hash(path) & bucketMask
        while true {
            var number = unsafe Int(buckets[bucket])
            if number < 0 { return -1 }
            if unsafe Self.equal(view(hot[number].path), path) {
                while number >= 0 {
                    let wanted = unsafe view(hot[number].host)
                    if unsafe wanted.count == 0 || equalsIgnoringASCIICase(host, wanted) { return number }
                    number = unsafe Int(hot[number].next)
                }
                return -1
            }
            bucket = (bucket + 1) & bucketMask
        }
    }

    /// The route with that identity, or nil.
    public func definition(of identity: RouteIdentity) -> RouteDefinition? { index[identity].map { definitions[$0] } }

    /// The index of the route with that identity, or nil.
    public func route(of identity: RouteIdentity) -> Int? { index[identity] }

    public var count: Int { definitions.count - families.count }

    // - Facts of a route, by index

    /// The next route that is the same receiver in another cluster, or -1. The one that is found by its path leads to all of them.
    public func sibling(of route: Int) -> Int { unsafe Int(facts(route).pointee.sibling) }
    /// The route and all its siblings behind it, those that are ready first.
    public func siblings(of route: Int) -> [Int] {
        var all: [Int] = []
        var next = route
        while next >= 0 {
            all.append(next)
            next = sibling(of: next)
        }
        return all
    }
    public func sender(of route: Int) -> SenderType { unsafe facts(route).pointee.sender }
    public func kind(of route: Int) -> ReceiverKind { unsafe facts(route).pointee.kind }
    /// Rules of its own decide (`RouteDefinition.rules`).
    public func hasRules(_ route: Int) -> Bool { unsafe facts(route).pointee.hasRules }
    public func rules(of route: Int) -> (any ReceiverRules)? { definitions[route].rules }
    /// A filter reads the body: it must be a JSON object where its type says JSON.
    public func readsBody(_ route: Int) -> Bool { unsafe facts(route).pointee.readsBody }
    public func hasActions(_ route: Int) -> Bool { unsafe facts(route).pointee.hasActions }
    public func bodyBytesMax(of route: Int) -> Int { unsafe facts(route).pointee.bodyBytesMax }
    public func dedupeWindowSeconds(of route: Int) -> UInt32 { unsafe facts(route).pointee.dedupeWindowSeconds }
    public func fingerprint(of route: Int) -> UInt32 { unsafe facts(route).pointee.fingerprint }
    /// 503: suspended, not ready, or a Hook without a usable secret.
    public func isUnavailable(_ route: Int) -> Bool {
        let facts = unsafe facts(route)
        return unsafe facts.pointee.readiness == .unavailable
            || (facts.pointee.readiness == .secretUnusable && facts.pointee.kind == .hook)
    }
    public func isReady(_ route: Int) -> Bool { unsafe facts(route).pointee.readiness == .ready }
    /// A Flux route whose Secret cannot prove anything: 400 after the body.
    public func isSecretUnusable(_ route: Int) -> Bool { unsafe facts(route).pointee.readiness == .secretUnusable }
    public func cluster(of route: Int) -> UnsafeRawBufferPointer { unsafe view(facts(route).pointee.cluster) }
    public func namespace(of route: Int) -> UnsafeRawBufferPointer { unsafe view(facts(route).pointee.namespace) }
    public func name(of route: Int) -> UnsafeRawBufferPointer { unsafe view(facts(route).pointee.name) }

    /// Names the route in dedupe keys: the same bytes after a restart.
    public func identityBytes(of route: Int) -> UnsafeRawBufferPointer { unsafe view(facts(route).pointee.identity) }

    func secrets(of route: Int) -> SecretTable.Range { unsafe facts(route).pointee.secrets }
    func facts(_ route: Int) -> UnsafePointer<Hot> {
        precondition(route >= 0 && route < definitions.count)
        return unsafe UnsafePointer(hot + route)
    }
    func view(_ text: Text) -> UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(start: bytes + Int(text.start), count: Int(text.count))
    }

    /// Whether the route lists the event (any case), or lists none.
    func accepts(event: UnsafeRawBufferPointer, route: Int) -> Bool {
        let facts = unsafe facts(route)
        if unsafe facts.pointee.acceptsAnyEvent { return true }
        let start = unsafe Int(facts.pointee.eventStart)
        for index in start..<start + Int(unsafe facts.pointee.eventCount)
        where unsafe equalsIgnoringASCIICase(event, view(events[index])) { return true }
        return false
    }

    // - Helpers

    /// Eight bytes a step. Not keyed: the paths in the table are of the operator's choosing, not the sender's, so a sender cannot
    /// make probe sequences longer.
    private static func hash(_ bytes: UnsafeRawBufferPointer) -> Int {
        var hash = UInt64(truncatingIfNeeded: bytes.count) &* 0x9e37_79b9_7f4a_7c15
        var offset = 0
        while offset + 8 <= bytes.count {
            hash = unsafe (hash ^ bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)) &* 0x9fb2_1c65_1e98_df25
            hash ^= hash >> 32
            offset += 8
        }
        while offset < bytes.count {
            hash = unsafe (hash ^ UInt64(bytes[offset])) &* 0x100_0000_01b3
            offset += 1
        }
        return Int(truncatingIfNeeded: (hash ^ (hash >> 29)) & 0x7fff_ffff_ffff_ffff)
    }

    private static func equal(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
        guard a.count == b.count else { return false }
        guard let first = a.baseAddress, let second = b.baseAddress else { return true }
        return unsafe memcmp(first, second, a.count) == 0
    }

    /// Changes when sender, path, host or actions change: then an id seen before counts as new (DESIGN section 6).
    private static func fingerprint(of route: RouteDefinition) -> UInt32 {
        let words =
            "\(route.sender.name)\u{0}\(route.path)\u{0}\(route.host ?? "")\u{0}\(route.actions)\u{0}\(route.selections)"
        var hash: UInt32 = 0x811c_9dc5
        for byte in words.utf8 { hash = (hash ^ UInt32(byte)) &* 0x0100_0193 }
        return hash
    }
}

extension SenderType {
    /// How long an id counts as seen: senders that repeat by themselves have the long window (DESIGN section 6).
    public var dedupeWindowSeconds: UInt32 {
        switch self {
        case .github: 60
        case .gitea: 60
        default: 600
        }
    }
}
