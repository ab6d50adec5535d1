//! Programs, for clients. A request without a session refers to a global program.

use tonic::Status;

use super::server::Inner;
use super::status::{from_state, from_tool};
use super::values;
use crate::pb;

impl Inner {
    pub(super) fn put_program(
        &self,
        request: pb::PutProgramRequest,
    ) -> Result<pb::PutProgramResponse, Status> {
        let value = values::read(request.value).map_err(from_tool)?;
        let put = match request.session_id.as_str() {
            "" => self.state.sessions().put_program(&request.name, value),
            id => self.session(id)?.put_program(&request.name, value),
        };
        put.map(|()| pb::PutProgramResponse {}).map_err(from_state)
    }

    pub(super) fn get_program(
        &self,
        request: &pb::GetProgramRequest,
    ) -> Result<pb::GetProgramResponse, Status> {
        let program = match request.session_id.as_str() {
            "" => self.state.sessions().program(&request.name),
            id => self.session(id)?.program(&request.name),
        };
        let value = Some(values::write(&*program.map_err(from_state)?));
        Ok(pb::GetProgramResponse { value })
    }

    pub(super) fn delete_program(
        &self,
        request: &pb::DeleteProgramRequest,
    ) -> Result<pb::DeleteProgramResponse, Status> {
        let deleted = match request.session_id.as_str() {
            "" => self.state.sessions().delete_program(&request.name),
            id => self.session(id)?.delete_program(&request.name),
        };
        deleted
            .map(|_| pb::DeleteProgramResponse {})
            .map_err(from_state)
    }

    pub(super) fn list_programs(
        &self,
        request: &pb::ListProgramsRequest,
    ) -> Result<pb::ListProgramsResponse, Status> {
        let names = match request.session_id.as_str() {
            "" => self.state.sessions().programs(),
            id => self.session(id)?.programs(),
        };
        let names = names.map_err(from_state)?;
        Ok(pb::ListProgramsResponse { names })
    }
}
