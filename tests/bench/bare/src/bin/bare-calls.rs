//! Only the calls of each kind of request: no check, no order, no receipt, no log. `BARE` selects
//! the kind.

use bare::{Calls, OPERATION};
use lambda_http::{Body, Error, Request, RequestExt, Response, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let (calls, what) = (Calls::from_environment()?, std::env::var("BARE")?);
    run(service_fn(async |request| answer(&calls, &what, &request).await)).await
}

async fn answer(calls: &Calls, what: &str, request: &Request) -> Result<Response<Body>, Error> {
    let parameters = request.path_parameters_ref();
    let resource = parameters.and_then(|parameters| parameters.first("id")).unwrap_or_default();
    let body = std::str::from_utf8(request.body())?;
    match what {
        "inline" => calls.update_item(resource, body).await?,
        "deferred" => calls.send_message(resource, body).await?,
        "wait" | "keyed" => {
            if what == "keyed" {
                calls.put_claim().await?;
            }
            calls.transact(resource, body).await?;
            calls.get_creator(resource).await?;
        }
        "get" => {
            let stored = calls.get_item("resources", resource).await?;
            return Ok(Response::new(Body::from(stored.unwrap_or_default())));
        }
        "status" => drop(calls.get_item("operations", OPERATION).await?),
        other => return Err(format!("BARE is {other}").into()),
    }
    Ok(Response::new(Body::from(body)))
}
