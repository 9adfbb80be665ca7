// ContentDigest: tells a change of an object that may concern routes from one that cannot. Controllers and we ourselves write to objects all
// day long: status, versions, requests to reconcile. None of that needs the catalog to be compiled again.
//
// What is left out is known to be read by nobody here; all else counts, known or not.

import Delivery

/// Of one object, within this process: seeds are random, so nobody can make two objects that look the same. 128 bits.
struct ContentDigest: Equatable, Sendable {
    private let low: Int
    private let high: Int

    /// Of `metadata`. A generation counts changes of the spec, which are seen by themselves.
    private static let volatileMetadata: Set<String> = [
        "resourceVersion", "generation", "managedFields", "selfLink", "finalizers",
    ]
    /// Requests to act, and the object once more as text.
    private static let volatileAnnotations: Set<String> = [
        "reconcile.fluxcd.io/requestedAt", "kubectl.kubernetes.io/last-applied-configuration",
    ]
    /// Kinds whose status says nothing to the catalog, or only what `ReceiverStatusGiven` holds.
    private static let kindsWithoutStatus: Set<String> = [
        "Receiver", "Hook", "GitRepository", "OCIRepository", "ImageRepository", "BuildConfig", "S2iBuilder",
    ]

    init(of object: JSONValue, kind: String) {
        var hasher = PairHasher()
        for member in object.members ?? [] {
            switch member.name {
            case "metadata": Self.metadata(member.value, into: &hasher)
            case "status" where Self.kindsWithoutStatus.contains(kind): break
            default:
                hasher.combine(member.name)
                hasher.combine(member.value)
            }
        }
        (low, high) = hasher.finish()
    }

    private static func metadata(_ metadata: JSONValue, into hasher: inout PairHasher) {
        guard let members = metadata.members else { return hasher.combine(metadata) }
        for member in members where !volatileMetadata.contains(member.name) {
            hasher.combine(member.name)
            if member.name == "annotations", let annotations = member.value.members {
                hasher.combine(.object(annotations.filter { !volatileAnnotations.contains($0.name) }))
            } else {
                hasher.combine(member.value)
            }
        }
    }
}

/// Two of the standard library's hashers with different beginnings. Every value is preceded by its form and length, so that no two
/// texts run together.
private struct PairHasher {
    private var low = Hasher()
    private var high = Hasher()

    init() { high.combine(UInt8(1)) }

    mutating func finish() -> (Int, Int) { (low.finalize(), high.finalize()) }

    /// The bytes: a path is another one when only its normal form changes, which String's own hash does not tell.
    mutating func combine(_ text: String) {
        var text = text
        begin(7, text.utf8.count)
        text.withUTF8 { bytes in
            // Read within the call.
            unsafe low.combine(bytes: UnsafeRawBufferPointer(bytes))
            unsafe high.combine(bytes: UnsafeRawBufferPointer(bytes))
        }
    }

    private mutating func begin(_ form: UInt8, _ count: Int = 0) {
        low.combine(form)
        low.combine(count)
        high.combine(form)
        high.combine(count)
    }

    mutating func combine(_ value: JSONValue) {
        switch value {
        case .null: begin(0)
        case .bool(let value): begin(value ? 2 : 1)
        case .number(let text):
            begin(3)
            combine(text)
        case .string(let text):
            begin(4)
            combine(text)
        case .array(let elements):
            begin(5, elements.count)
            for element in elements { combine(element) }
        case .object(let members):
            begin(6, members.count)
            for member in members {
                combine(member.name)
                combine(member.value)
            }
        }
    }
}
