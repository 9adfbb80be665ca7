// CELOrder: which of two values comes first, numbers also across their types.

enum CELOrder { case before, equal, after }

func order<Value: Comparable>(_ a: Value, _ b: Value) -> CELOrder? {
    // NaN is neither before, equal nor after.
    a < b ? .before : a == b ? .equal : a > b ? .after : nil
}

extension CELValue {
    /// Nil when one is no number, or is NaN. Integers are compared with doubles as doubles, like cel-go does.
    func numericOrder(_ other: CELValue) -> CELOrder? {
        switch (self, other) {
        case (.int(let a), .int(let b)): order(a, b)
        case (.uint(let a), .uint(let b)): order(a, b)
        case (.double(let a), .double(let b)): order(a, b)
        case (.int(let a), .uint(let b)): a < 0 ? .before : order(UInt64(a), b)
        case (.uint(let a), .int(let b)): b < 0 ? .after : order(a, UInt64(b))
        case (.int(let a), .double(let b)): order(Double(a), b)
        case (.double(let a), .int(let b)): order(a, Double(b))
        case (.uint(let a), .double(let b)): order(Double(a), b)
        case (.double(let a), .uint(let b)): order(a, Double(b))
        default: nil
        }
    }

    var isNumber: Bool {
        switch self {
        case .int, .uint, .double: true
        default: false
        }
    }

    /// The index a number stands for: an integer, or a double or unsigned one that is exactly an integer.
    var wholeNumber: Int64? {
        switch self {
        case .int(let number): number
        case .uint(let number): Int64(exactly: number)
        case .double(let number): Int64(exactly: number)
        default: nil
        }
    }
}
