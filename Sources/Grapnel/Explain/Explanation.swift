// Explanation: what a delivery is, what is made of it, and why: one value, printed as text or as JSON. Texts in it are for operators
// and hold no secret.

import Delivery

struct Explanation: Sendable {
    enum Outcome: String, Sendable {
        case accepted, ignored, refused
        case noRoute = "no-route"

        /// Exit status of the command.
        var isWell: Bool { self == .accepted || self == .ignored }
    }

    struct Request: Sendable {
        /// `file request.http`, `delivery 17`.
        var source: String
        var method = ""
        var path = ""
        var host = ""
        var bodyBytes = 0
        var notes: [String] = []
    }

    struct Route: Sendable {
        /// nil: there is none.
        var receiver: String?
        /// `file:line`.
        var source = ""
        var sender = ""
        /// nil: any host.
        var host: String?
        var readiness = ""
        var methodAllowed = true
        var bodyBytesMax = 0
        /// Why there is none.
        var reasons: [String] = []
        /// What else an operator should know.
        var notes: [String] = []
    }

    struct Verification: Sendable {
        enum Status: String, Sendable {
            case proven, refused
            /// Was proven when it was received.
            case earlier
            /// Not reached.
            case skipped
        }

        var status = Status.skipped
        /// Where the secret stands that proves it.
        var provenBy: String?
        var cause = VerifyCause.none
        var findings: [ProofFinding] = []
        var notes: [String] = []
    }

    struct Decoded: Sendable {
        var event = Event()
        var sender = ""
        var deliveryID = ""
        /// 0: never deduplicated.
        var dedupeWindowSeconds: UInt32 = 0
        /// Parts of the request that are overwritten before it reaches the disk.
        var masked: [String] = []
    }

    struct Judgement: Sendable {
        struct Field: Sendable, Equatable {
            var name: String
            var value: String
        }

        /// Of the ignored reason or the cause; empty when accepted.
        var reason = ""
        /// nil: nothing is answered any more (a delivery of the journal).
        var status: UInt16?
        var fields: [Field] = []
        /// First line of the answer's body.
        var body = ""
        var notes: [String] = []
    }

    struct FilterResult: Sendable, Equatable {
        enum Outcome: Sendable, Equatable {
            case holds
            case fails
            case error(String)
            /// An earlier filter said no.
            case notAsked
        }
        enum Basis: String, Sendable {
            /// The filter does not look at the target.
            case request
            case api
            case names
        }

        /// `the receiver's filter`, `resources[2]`.
        var place: String
        var filter: String
        var target: String
        var outcome: Outcome
        var basis: Basis
    }

    struct Write: Sendable {
        /// In the words of `grapnel check`.
        var action: String
        /// `PATCH`, `POST`; empty for what is no request.
        var verb = ""
        /// Path of the API server, or where an http action goes.
        var path = ""
        var contentType = ""
        /// What is sent; nil for what is no JSON.
        var body: JSONValue?
        var notes: [String] = []
    }

    struct Planned: Sendable {
        var filters: [FilterResult] = []
        var writes: [Write] = []
        /// Why nothing follows, or not all.
        var notes: [String] = []
    }

    var request: Request
    var route = Route()
    var verification = Verification()
    var decoded: Decoded?
    var judgement = Judgement()
    var planned: Planned?
    var outcome = Outcome.noRoute
}
