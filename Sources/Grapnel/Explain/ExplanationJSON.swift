// ExplanationJSON: an explanation as one JSON object. Members are added, never renamed.
//
//   outcome       accepted | ignored | refused | no-route
//   request       source, method, path (secrets left out), host, bodyBytes, notes[]
//   route         receiver (null: none), source (file:line), sender, host (null: any), readiness, methodAllowed, bodyBytesMax, reasons[],
//                 notes[]
//   verification  status: proven | refused | earlier | skipped; provenBy (null), cause (null; the metric label's word),
//                 findings[]: {code, text}; notes[]
//   event         null when not decoded; kind, repository, repositoryURL, ref, commit, image, tag, digest (each null when absent),
//                 images[]: {image, tag, digest}; isDeletion, sender, deliveryID, dedupeWindowSeconds, masked[]
//   judgement     decision (= outcome), reason, status (null: none), fields[]: {name, value}; body (its first line), notes[]
//   filters[]     place, filter, target, result: true | false | null, error (null), basis: request | api | names
//   writes[]      action, verb, path, contentType, body (null), notes[]
//   notes[]       why nothing follows, or not all

import Delivery

extension Explanation {
    var json: JSONValue {
        func texts(_ list: [String]) -> JSONValue { .array(list.map { .string($0) }) }
        func text(_ text: String?) -> JSONValue { text.map { .string($0) } ?? .null }
        func number(_ value: some BinaryInteger) -> JSONValue { .number("\(value)") }
        return [
            "outcome": .string(outcome.rawValue),
            "request": [
                "source": .string(request.source), "method": .string(request.method), "path": .string(request.path),
                "host": .string(request.host), "bodyBytes": number(request.bodyBytes), "notes": texts(request.notes),
            ],
            "route": [
                "receiver": text(route.receiver), "source": .string(route.source), "sender": .string(route.sender),
                "host": text(route.host), "readiness": .string(route.readiness),
                "methodAllowed": .bool(route.methodAllowed), "bodyBytesMax": number(route.bodyBytesMax),
                "reasons": texts(route.reasons), "notes": texts(route.notes),
            ],
            "verification": [
                "status": .string(verification.status.rawValue), "provenBy": text(verification.provenBy),
                "cause": verification.cause == .none ? .null : .string(verification.cause.name),
                "findings": .array(
                    verification.findings.map { ["code": .string($0.code.rawValue), "text": .string($0.text)] }),
                "notes": texts(verification.notes),
            ],
            "event": decoded.map { decoded in
                [
                    "kind": text(decoded.event.kind), "repository": text(decoded.event.repository),
                    "repositoryURL": text(decoded.event.repositoryURL), "ref": text(decoded.event.ref),
                    "commit": text(decoded.event.commit), "image": text(decoded.event.image),
                    "tag": text(decoded.event.tag), "digest": text(decoded.event.digest),
                    "images": .array(
                        decoded.event.images.map {
                            ["image": text($0.image), "tag": text($0.tag), "digest": text($0.digest)]
                        }),
                    "isDeletion": .bool(decoded.event.isDeletion),
                    "sender": .string(decoded.sender), "deliveryID": .string(decoded.deliveryID),
                    "dedupeWindowSeconds": number(decoded.dedupeWindowSeconds), "masked": texts(decoded.masked),
                ]
            } ?? .null,
            "judgement": [
                "decision": .string(outcome.rawValue), "reason": .string(judgement.reason),
                "status": judgement.status.map { number($0) } ?? .null,
                "fields": .array(
                    judgement.fields.map { ["name": .string($0.name), "value": .string($0.value)] }),
                "body": .string(judgement.body), "notes": texts(judgement.notes),
            ],
            "filters": .array((planned?.filters ?? []).map(\.json)),
            "writes": .array(
                (planned?.writes ?? []).map { write in
                    [
                        "action": .string(write.action), "verb": .string(write.verb), "path": .string(write.path),
                        "contentType": .string(write.contentType), "body": write.body ?? .null,
                        "notes": texts(write.notes),
                    ]
                }),
            "notes": texts(planned?.notes ?? []),
        ]
    }
}

extension Explanation.FilterResult {
    fileprivate var json: JSONValue {
        var result = JSONValue.null
        var error = JSONValue.null
        switch outcome {
        case .holds: result = true
        case .fails: result = false
        case .error(let text): error = .string(text)
        case .notAsked: break
        }
        return [
            "place": .string(place), "filter": .string(filter), "target": .string(target), "result": result,
            "error": error, "basis": .string(basis.rawValue),
        ]
    }
}
