// CELMap: keys and values in the order they were written, found by a scan while they are few and by hash when they are many.
//
// Keys compare by value across int and uint, strings by their bytes. Hashing covers the bytes as they are: Swift's own string
// hash sees canonically equivalent strings as one, so that a sender could make any number of keys collide.

public enum CELKey: Sendable {
    case bool(Bool)
    case int(Int64)
    case uint(UInt64)
    case string(String)

    /// Nil when a value of this type cannot be a key. A double stands for the integer it equals.
    init?(_ value: CELValue) {
        switch value {
        case .bool(let flag): self = .bool(flag)
        case .int(let number): self = .int(number)
        case .uint(let number): self = .uint(number)
        case .string(let text): self = .string(text)
        case .double(let number):
            if let whole = Int64(exactly: number) {
                self = .int(whole)
            } else if let whole = UInt64(exactly: number) {
                self = .uint(whole)
            } else {
                return nil
            }
        default: return nil
        }
    }

    var value: CELValue {
        switch self {
        case .bool(let flag): .bool(flag)
        case .int(let number): .int(number)
        case .uint(let number): .uint(number)
        case .string(let text): .string(text)
        }
    }

    var byteCount: Int {
        if case .string(let text) = self { text.utf8.count } else { 8 }
    }
}

extension CELKey: Hashable {
    public static func == (left: CELKey, right: CELKey) -> Bool {
        switch (left, right) {
        case (.string(let a), .string(let b)): a.hasSameBytes(as: b)
        case (.bool(let a), .bool(let b)): a == b
        case (.int(let a), .int(let b)): a == b
        case (.uint(let a), .uint(let b)): a == b
        case (.int(let a), .uint(let b)), (.uint(let b), .int(let a)): a >= 0 && UInt64(a) == b
        default: false
        }
    }

    public func hash(into hasher: inout Hasher) {
        switch self {
        case .bool(let flag): hasher.combine(flag)
        case .int(let number): hasher.combine(UInt64(bitPattern: number))
        case .uint(let number): hasher.combine(number)
        case .string(let text): text.hashBytes(into: &hasher)
        }
    }
}

public struct CELMap: Sendable {
    /// Immutable once made, so that maps are passed about at the price of one reference.
    private final class Storage: Sendable {
        let keys: [CELKey]
        let values: [CELValue]
        // nil while keys.count <= scanMax
        let positions: [CELKey: Int]?

        init(keys: [CELKey], values: [CELValue], positions: [CELKey: Int]?) {
            self.keys = keys
            self.values = values
            self.positions = positions
        }
    }

    private let storage: Storage

    public var count: Int { storage.keys.count }
    public var keys: [CELKey] { storage.keys }
    public var values: [CELValue] { storage.values }

    /// Of equal keys the last wins.
    public init(_ entries: some Sequence<(CELKey, CELValue)> = []) {
        var builder = Builder()
        for (key, value) in entries { builder.set(key, to: value) }
        self = builder.map()
    }

    public subscript(key: CELKey) -> CELValue? {
        if let positions = storage.positions { return positions[key].map { storage.values[$0] } }
        return storage.keys.firstIndex(of: key).map { storage.values[$0] }
    }

    public subscript(key: String) -> CELValue? { self[.string(key)] }
}

extension CELMap {
    struct Builder {
        /// Up to this many keys a scan is cheaper than a hash.
        private static let scanMax = 8

        private(set) var keys: [CELKey] = []
        private var values: [CELValue] = []
        private var positions: [CELKey: Int]?

        func position(of key: CELKey) -> Int? {
            if let positions { return positions[key] }
            return keys.firstIndex(of: key)
        }

        mutating func set(_ key: CELKey, to value: CELValue) {
            if let known = position(of: key) {
                values[known] = value
                return
            }
            positions?[key] = keys.count
            keys.append(key)
            values.append(value)
            if positions == nil, keys.count > Self.scanMax {
                positions = Dictionary(uniqueKeysWithValues: zip(keys, keys.indices))
            }
        }

        func map() -> CELMap { CELMap(storage: Storage(keys: keys, values: values, positions: positions)) }
    }

    private init(storage: Storage) { self.storage = storage }
}

extension CELMap: Equatable {
    public static func == (left: CELMap, right: CELMap) -> Bool { CELValue.map(left) == CELValue.map(right) }
}
